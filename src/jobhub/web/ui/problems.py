"""Errors as pages. Which status an error becomes is decided in `web.problems`, here only how it looks."""

import http
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from jobhub.domain import errors
from jobhub.web.problems import error_headers, status_of
from jobhub.web.ui.rendering import page
from jobhub.web.ui.session import to_sign_in

_log = structlog.get_logger("jobhub.web")


def on_refusal(request: Request[Any, Any, Any], error: errors.JobhubError) -> Response[Any]:
    """Any error of our own tree; who is not signed in is led to where one signs in."""
    if isinstance(error, errors.Unauthenticated) and not request.url.path.endswith("/events"):
        return to_sign_in(request)
    status = status_of(error)
    if status >= 500:
        _log.warning("request_refused", code=error.code, path=request.url.path, cause=repr(error.__cause__))
    details = [f"{item.pointer}: {item.detail}" for item in error.errors] if isinstance(error, errors.InvalidInput) else []
    return _answer(request, status, str(error), details=details, headers=error_headers(error))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What Litestar itself answers."""
    if error.status_code >= 500:
        return on_bug(request, error)
    detail = {404: "There is no such page.", 405: "This page can't be used like that."}.get(error.status_code, error.detail)
    return _answer(request, error.status_code, detail, headers=dict(error.headers or {}))


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Anything unforeseen."""
    _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
    return _answer(request, 500, "Something went wrong on our side.")


def _answer(
    request: Request[Any, Any, Any], status: int, message: str, *, details: list[str] | None = None, headers: dict[str, str] | None = None
) -> Response[Any]:
    title = {400: "That can't be done", 403: "Not for you", 404: "Not found", 409: "Not possible now", 503: "Back in a moment"}
    return page(
        request,
        "error.html",
        status_code=status,
        headers=headers,
        title=title.get(status, http.HTTPStatus(status).phrase),
        message=message,
        details=details or [],
        status=status,
        request_id=request.scope["state"].get("request_id", ""),
    )


HANDLERS: dict[Any, Any] = {
    errors.JobhubError: on_refusal,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
