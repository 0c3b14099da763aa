"""OPTIONS, answered for every path before anything else looks at the request.

Litestar's own answer lists only the methods of the first handler that was registered for the path.
"""

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send


class AnswerOptions(ASGIMiddleware):
    """Says what the path can do: which methods there are is no secret, so nobody has to log in for it."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope.get("method") != "OPTIONS":
            await next_app(scope, receive, send)
            return
        allow = ", ".join(_methods_of(scope)).encode()
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _methods_of(scope: Scope) -> list[str]:
    routes = scope["litestar_app"].routes
    return sorted({method for route in routes if route.path_format == scope["path_template"] for method in getattr(route, "methods", ())})
