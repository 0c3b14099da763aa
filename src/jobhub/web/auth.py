"""Who asks: the Authorization header made into a User, and the guard for administrators.

Each route is closed unless its handler says `opt={"public": True}`; a test lists the open ones.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from jobhub.domain.errors import NotPermitted, Unauthenticated
from jobhub.services import accounts
from jobhub.web.resources import Resources


class Authentication(ASGIMiddleware):
    """Puts the user into the scope, or raises Unauthenticated."""

    scopes = (*ASGIMiddleware.scopes,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler: BaseRouteHandler = scope["route_handler"]
        if not handler.opt.get("public"):
            resources: Resources = scope["litestar_app"].state.resources
            scope["user"] = await accounts.authenticate(resources.accounts, resources.key, bearer_token(scope))
        await next_app(scope, receive, send)


def bearer_token(scope: Scope) -> str:
    """The token of the Authorization header. Raises Unauthenticated: there is none, or it is no bearer token."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if not values:
        raise Unauthenticated("Send a token: Authorization: Bearer …")
    if len(values) > 1:
        raise Unauthenticated("Send one Authorization header, not several.", code="invalid_token")
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be: Bearer TOKEN", code="invalid_token")
    return token.strip()


async def administrators_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard. Raises NotPermitted unless an administrator asks.

    Async, though it waits for nothing: Litestar runs a plain function in a thread.
    """
    if not connection.user.is_admin:
        raise NotPermitted
