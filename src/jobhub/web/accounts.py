"""Endpoints for logging in and out, and for managing accounts."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from jobhub.contract.accounts import ChangeUserRequest, LoginRequest, MeView, NewUserRequest, RefreshRequest, TokenPair, UserView
from jobhub.services import accounts, tickets
from jobhub.services.tickets import Ticket
from jobhub.web.auth import administrators_only
from jobhub.web.requests import read_json
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import me_view, user_view

_PUBLIC = {"public": True}


class AuthController(Controller):
    path = "/auth"
    tags = ("accounts",)

    @post("/token", status_code=HTTP_200_OK, opt=_PUBLIC, security=[{}], summary="Log in")
    async def log_in(
        self, request: Request[Any, Any, Any], data: JSONBody[LoginRequest], resources: NamedDependency[Resources]
    ) -> TokenPair:
        """Unknown users get the same answer after the same time as wrong passwords."""
        return await accounts.log_in(
            resources.db,
            resources.passwords,
            resources.keys,
            email=data.email,
            password=data.password,
            client=request.client.host if request.client else None,  # the socket's other end: a header could say anything
            failures_per_address=resources.login_failures_per_address,
        )

    @post("/refresh", status_code=HTTP_200_OK, opt=_PUBLIC, security=[{}], summary="Exchange a refresh token")
    async def refresh(self, data: JSONBody[RefreshRequest], resources: NamedDependency[Resources]) -> TokenPair:
        """Each refresh token works once; using one again revokes every token of its login."""
        return await accounts.refresh(resources.db, resources.keys, refresh_token=data.refresh_token)

    @post("/logout", status_code=HTTP_204_NO_CONTENT, summary="Log out")
    async def log_out(self, data: JSONBody[RefreshRequest], resources: NamedDependency[Resources]) -> None:
        """Revokes the login's refresh tokens; its access token ends by itself within 15 minutes."""
        await accounts.log_out(resources.db, refresh_token=data.refresh_token)

    @post("/ticket", status_code=HTTP_200_OK, summary="Get a ticket for an event stream")
    async def make_ticket(self, request: UserRequest, resources: NamedDependency[Resources]) -> Ticket:
        """For a browser's EventSource, which can't send a header: `?ticket=` opens one event stream, once, within 30 s."""
        return await tickets.make_ticket(resources.db, user=request.user)

    @get("/me", summary="Who you are")
    async def me(self, request: UserRequest, resources: NamedDependency[Resources]) -> MeView:
        """With your limits, null where there is none, and how much of each you have used."""
        return me_view(request.user, resources.submissions.limits, await accounts.get_usage(resources.db, request.user))


def _read_new_user(_request: Request[Any, Any, Any], body: bytes) -> NewUserRequest:
    request: NewUserRequest = read_json(body, NewUserRequest, rules=accounts.account_errors)
    return request


def _read_user_changes(_request: Request[Any, Any, Any], body: bytes) -> ChangeUserRequest:
    request: ChangeUserRequest = read_json(body, ChangeUserRequest, rules=accounts.account_errors)
    return request


class UserController(Controller):
    path = "/users"
    tags = ("accounts",)
    guards = (administrators_only,)

    @get(summary="List accounts")
    async def list_users(self, resources: NamedDependency[Resources]) -> list[UserView]:
        """Oldest first."""
        return [user_view(user) for user in await accounts.list_users(resources.db)]

    @post(summary="Create an account", opt={"read_body": _read_new_user})
    async def create_user(self, request: UserRequest, data: JSONBody[NewUserRequest], resources: NamedDependency[Resources]) -> UserView:
        """E-mail addresses are compared without case."""
        user = await accounts.create_user(
            resources.db, resources.passwords, email=data.email, password=data.password, role=data.role, act=act_of(request)
        )
        return user_view(user)

    @patch("/{user_id:uuid}", summary="Change an account", opt={"read_body": _read_user_changes})
    async def change_user(
        self, request: UserRequest, user_id: FromPath[UUID], data: JSONBody[ChangeUserRequest], resources: NamedDependency[Resources]
    ) -> UserView:
        """Disabling refuses the user's tokens at once and cancels their pending jobs; running ones finish."""
        user = await accounts.change_user(
            resources.db,
            resources.passwords,
            user_id,
            role=data.role,
            password=data.password,
            disabled=data.disabled,
            act=act_of(request),
        )
        return user_view(user)
