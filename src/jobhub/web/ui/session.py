"""Signing in and out, and the cookie that says who asks for a page.

The cookie is Secure, under a name that binds it to this very host, where the request came by https: a proxy in front says so in
`X-Forwarded-Proto`. Whoever sends that header without one only locks themselves out.
"""

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.middleware import ASGIMiddleware
from litestar.status_codes import HTTP_303_SEE_OTHER
from litestar.types import ASGIApp, Receive, Scope, Send

from jobhub.domain.errors import JobhubError, TooManyAttempts, Unauthenticated
from jobhub.services import sessions
from jobhub.web.problems import status_of
from jobhub.web.resources import Resources
from jobhub.web.ui.forms import Form, own_path
from jobhub.web.ui.rendering import page, see_other

HOME = "/ui/jobs"
SIGN_IN = "/ui/sign-in"
_PUBLIC = {"public": True}


class SessionCheck(ASGIMiddleware):
    """Puts the session's user into the scope. Raises Unauthenticated; nothing but the cookie is looked at."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if not scope["route_handler"].opt.get("public"):
            request: Request[Any, Any, Any] = Request(scope)
            session_id = request.cookies.get(cookie_name(request))
            if not session_id:
                raise Unauthenticated("You are signed out.", code="invalid_session")
            resources: Resources = scope["litestar_app"].state.resources
            scope["user"] = await sessions.user_of(resources.db, session_id)
            scope["state"]["session_id"] = session_id
        await next_app(scope, receive, send)


def is_https(request: Request[Any, Any, Any]) -> bool:
    """Whether the browser came by https, as far as we are told."""
    return request.scope["scheme"] == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"


def own_origin(request: Request[Any, Any, Any]) -> str:
    """Where the browser found us, without a path."""
    return f"{'https' if is_https(request) else 'http'}://{request.headers.get('host', request.url.netloc)}"


def cookie_name(request: Request[Any, Any, Any]) -> str:
    """`__Host-` makes browsers refuse the cookie from any other host, or without https."""
    return "__Host-jobhub" if is_https(request) else "jobhub"


def _cookie(request: Request[Any, Any, Any], value: str, max_age: int) -> Cookie:
    return Cookie(key=cookie_name(request), value=value, path="/", max_age=max_age, httponly=True, secure=is_https(request), samesite="lax")


def keep_session(request: Request[Any, Any, Any], answer: Response[Any], session_id: str) -> None:
    """Let the browser come back with this session."""
    answer.set_cookie(_cookie(request, session_id, int(sessions.LIFETIME_SECONDS)))


def to_sign_in(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The way to the sign-in page, and back to where one wanted to go."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET":  # an act can't be gone back to, but the page it was on
        wanted = _path_of(request.headers.get("referer", ""))
    is_page = own_path(wanted, HOME) == wanted and wanted not in (HOME, SIGN_IN)
    return see_other(f"{SIGN_IN}?next={quote(wanted, safe='/')}" if is_page else SIGN_IN)


def _path_of(url: str) -> str:
    """With its query; of what is no URL, nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _again(request: Request[Any, Any, Any], error: JobhubError) -> Response[str]:
    """The sign-in page with what was wrong."""
    form: Form = request.scope["state"]["form"]
    back = own_path(form.text("next"), HOME)
    return page(request, "sign_in.html", status_code=status_of(error), error=str(error), email=form.text("email")[:254], next=back)


class SessionController(Controller):
    @get("/sign-in", opt=_PUBLIC)
    async def show_sign_in(self, request: Request[Any, Any, Any]) -> Response[str]:
        """The form."""
        back = own_path(request.query_params.get("next", ""), HOME)
        return page(request, "sign_in.html", error=None, email="", next=back)

    @post("/sign-in", opt=_PUBLIC, status_code=HTTP_303_SEE_OTHER, exception_handlers={Unauthenticated: _again, TooManyAttempts: _again})
    async def sign_in(
        self, request: Request[Any, Any, Any], form: NamedDependency[Form], resources: NamedDependency[Resources]
    ) -> Response[bytes]:
        """A new session, whatever cookie came along: nobody can have chosen its id before."""
        _, session_id = await sessions.sign_in(
            resources.db,
            resources.passwords,
            email=form.text("email").strip(),
            password=form.text("password"),
            client=request.client.host if request.client else None,  # as for tokens: the socket's other end
            failures_per_address=resources.login_failures_per_address,
        )
        answer = see_other(own_path(form.text("next"), HOME))
        keep_session(request, answer, session_id)
        return answer

    @post("/sign-out", status_code=HTTP_303_SEE_OTHER)
    async def sign_out(
        self,
        request: Request[Any, Any, Any],
        form: NamedDependency[Form],  # noqa: ARG002 - its token is checked
        resources: NamedDependency[Resources],
    ) -> Response[bytes]:
        """The session is over everywhere, open streams included."""
        await sessions.sign_out(resources.db, request.scope["state"]["session_id"])
        answer = see_other(SIGN_IN, notice="signed-out")
        answer.set_cookie(_cookie(request, "", 0))
        return answer
