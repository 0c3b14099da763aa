"""Templates made into responses, with the headers that keep anything but our own files from running in a page.

Not here: what stands in a page (the rooms), how times and numbers are written (`web.ui.wording`).
"""

from functools import cache
from typing import Any

import jinja2
from litestar import Request, Response

from jobhub import __version__
from jobhub.services import sessions
from jobhub.web.schemas import utc_now
from jobhub.web.ui import wording

_CONTENT_SECURITY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY,
    # `no-referrer`, as everywhere else, would also make browsers hide from us that a form is our own.
    "Referrer-Policy": "same-origin",
}
# What a redirect after an act may say; a text in the URL would be anybody's.
NOTICES = {
    "submitted": "The job was submitted.",
    "cancelled": "The job was cancelled.",
    "stopping": "The job was asked to stop.",
    "retried": "The job is back in the queue.",
    "completed": "The job was completed by hand.",
    "disabled": "The account was disabled.",
    "enabled": "The account is active again.",
    "password-changed": "Your password was changed. You are signed out everywhere else.",
    "signed-out": "You are signed out.",
}


@cache
def environment() -> jinja2.Environment:
    """The templates of this package; everything that is put into one is escaped, a name that is missing is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("jobhub.web.ui"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= wording.FILTERS
    made.globals["version"] = __version__
    return made


def page(
    request: Request[Any, Any, Any], template: str, *, status_code: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Response[str]:
    """A whole page."""
    session_id = request.scope["state"].get("session_id")
    text = (
        environment()
        .get_template(template)
        .render(
            user=request.scope.get("user"),
            form_token=sessions.form_token(session_id) if session_id else "",
            path=request.url.path,
            here=_here(request),
            notice=NOTICES.get(request.query_params.get("notice", "")),
            now=utc_now(),
            **context,
        )
    )
    return Response(text, status_code=status_code, media_type="text/html", headers=_HEADERS | (headers or {}))


def _here(request: Request[Any, Any, Any]) -> str:
    """The path to come back to: without the notice of what was done before, which the next one would not replace."""
    query = "&".join(part for part in request.url.query.split("&") if part and not part.startswith("notice="))
    return f"{request.url.path}?{query}" if query else request.url.path


def fragment(template: str, macro: str, *arguments: Any) -> str:
    """What a macro of a template makes: a part of a page, for a page that is open already."""
    module = environment().get_template(template).module
    return str(getattr(module, macro)(*arguments))


def see_other(path: str, *, notice: str | None = None) -> Response[bytes]:
    """Where to go on after an act, so that reloading that page doesn't repeat it. `path` is one of our own (`forms.own_path`)."""
    if notice:
        path = f"{path}{'&' if '?' in path else '?'}notice={notice}"
    return Response(b"", status_code=303, media_type="text/plain", headers={"Location": path})
