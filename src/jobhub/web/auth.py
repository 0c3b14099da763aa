"""Who asks: the Authorization header, or a ticket, made into a User, and the guard for administrators.

Each route is closed unless its handler says `opt={"public": True}`; a test lists the open ones. The pages (`opt={"pages": True}`) ask for
themselves who comes (`web.ui.session`).
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from jobhub.domain.errors import NotPermitted, Unauthenticated
from jobhub.domain.users import User
from jobhub.services import accounts, tickets
from jobhub.web.resources import Resources

WhoAsks = Callable[[Scope, Resources], Awaitable[User]]


class Authentication(ASGIMiddleware):
    """Puts the user into the scope, or raises Unauthenticated. `who_asks` takes the place of the Authorization header."""

    scopes = (*ASGIMiddleware.scopes,)

    def __init__(self, who_asks: WhoAsks | None = None) -> None:
        self._who_asks = who_asks or _bearer

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler: BaseRouteHandler = scope["route_handler"]
        if not (handler.opt.get("public") or handler.opt.get("pages")):
            resources: Resources = scope["litestar_app"].state.resources
            scope["user"] = await self._user(scope, resources, takes_ticket=handler.opt.get("takes_ticket", False))
        await next_app(scope, receive, send)

    async def _user(self, scope: Scope, resources: Resources, *, takes_ticket: bool) -> User:
        query = parse_qsl(scope["query_string"].decode("latin-1")) if takes_ticket else []
        given = [value for name, value in query if name == "ticket"]
        if not given:
            return await self._who_asks(scope, resources)
        if _authorizations(scope) or len(given) > 1:
            raise Unauthenticated("Send one ticket or a token, not both and not several.", code="invalid_token")
        return await tickets.use_ticket(resources.db, given[0])


async def _bearer(scope: Scope, resources: Resources) -> User:
    return await accounts.authenticate(resources.db, resources.accounts, resources.keys, resources.provider, bearer_token(scope))


def bearer_token(scope: Scope) -> str:
    """The token of the Authorization header. Raises Unauthenticated: there is none, or it is no bearer token."""
    values = _authorizations(scope)
    if not values:
        raise Unauthenticated("Send a token: Authorization: Bearer …")
    if len(values) > 1:
        raise Unauthenticated("Send one Authorization header, not several.", code="invalid_token")
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be: Bearer TOKEN", code="invalid_token")
    return token.strip()


def _authorizations(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"authorization"]


async def administrators_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard. Raises NotPermitted unless an administrator asks.

    Async, though it waits for nothing: Litestar runs a plain function in a thread.
    """
    if not connection.user.is_admin:
        raise NotPermitted
