"""Every error as an RFC 9457 problem. The only file that decides which status an error becomes.

Handlers of requests never catch: they raise, and this answers.
"""

import http
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from jobhub.contract.problems import PROBLEM_JSON, ErrorItem, Problem
from jobhub.domain import errors

RETRY_AFTER_SECONDS = 2  # a restarted server is back in about this time
_STREAM_RETRY_AFTER_SECONDS = 15  # a reader that is gone without a word has been noticed by then

STATUS: dict[type[errors.JobhubError], int] = {
    errors.InvalidInput: 400,
    errors.FilterTooBroad: 400,
    errors.Unauthenticated: 401,
    errors.NotPermitted: 403,
    errors.AdminOnlyJobType: 403,
    errors.NotFound: 404,
    errors.IllegalTransition: 409,
    errors.AlreadyExists: 409,
    errors.EmailTaken: 409,
    errors.LastAdministrator: 409,
    errors.CleanUpInProgress: 409,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.KeyReused: 422,
    errors.TooManyAttempts: 429,
    errors.SubmitRateExceeded: 429,
    errors.TooManyPendingJobs: 429,
    errors.TooManyStreams: 429,
    errors.DatabaseUnavailable: 503,
}

# Codes of the errors Litestar raises by itself.
_CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 415: "unsupported_media_type"}

_log = structlog.get_logger("jobhub.web")


def on_refusal(request: Request[Any, Any, Any], error: errors.JobhubError) -> Response[Problem]:
    """Any error of our own tree."""
    status = status_of(error)
    if status >= 500:
        _log.warning("request_refused", code=error.code, path=request.url.path, cause=repr(error.__cause__))
    found = [ErrorItem(item.pointer, item.detail) for item in error.errors] if isinstance(error, errors.InvalidInput) else []
    return _answer(request, status, error.code, str(error), found=found, headers=error_headers(error), job_status=_job_status(error))


def status_of(error: errors.JobhubError) -> int:
    """The status an error of our own tree becomes."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)


def error_headers(error: errors.JobhubError) -> dict[str, str]:
    """What the head of the answer says about an error, such as when to try again."""
    match error:
        case errors.Unauthenticated(code="wrong_credentials" | "invalid_refresh_token" | "unauthenticated"):
            return {"WWW-Authenticate": 'Bearer realm="jobhub"'}
        case errors.Unauthenticated():
            return {"WWW-Authenticate": f'Bearer realm="jobhub", error="invalid_token", error_description="{error}"'}
        case errors.Throttled():
            return {"Retry-After": str(error.retry_after_seconds)}
        case errors.TooManyStreams():
            return {"Retry-After": str(_STREAM_RETRY_AFTER_SECONDS)}
        case errors.DatabaseUnavailable():
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
        case _:
            return {}


def _job_status(error: errors.JobhubError) -> str | None:
    return error.status.value if isinstance(error, errors.IllegalTransition) else None


def on_invalid_parameters(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """What Litestar found wrong with path, query or header parameters."""
    marks = {"query": "?", "header": "#", "path": "", "body": "/"}
    extra: list[Any] = error.extra if isinstance(error.extra, list) else []
    if [item.get("key") for item in extra] == ["data"]:
        return _answer(request, 400, "malformed_json", "This request needs a body: a JSON object.")
    found = [
        ErrorItem(f"{marks.get(item.get('source', ''), '')}{item.get('key', '').rstrip('_')}", _plain(item.get("message", "")))
        for item in extra
    ]
    summary = f"{found[0].pointer}: {found[0].detail}" if len(found) == 1 else "The request is not valid; `errors` says where."
    return _answer(request, 400, "invalid_request", summary, found=found)


def _plain(message: str) -> str:
    message = message.partition(" - at `$")[0]
    return message[:1].lower() + message[1:]


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """What Litestar itself answers: unknown paths, wrong methods, bodies that are too large."""
    status = error.status_code
    if status >= 500:
        return on_bug(request, error)
    detail = {
        404: "There is nothing at this path.",
        405: f"{request.method} is not possible here; `Allow` says what is.",
        413: "The body is larger than 262144 bytes.",
    }.get(status, error.detail or http.HTTPStatus(status).phrase)
    headers = dict(error.headers or {})
    if status == 413:
        headers["Connection"] = "close"  # the rest of the body was not read, and is not going to be
    return _answer(request, status, _CODES.get(status, "refused"), detail, headers=headers)


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Anything unforeseen. The client learns the request id, the log the rest."""
    _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
    return _answer(request, 500, "internal_error", "Something went wrong on our side. The request id finds it in the logs.")


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    *,
    found: list[ErrorItem] | None = None,
    headers: dict[str, str] | None = None,
    job_status: str | None = None,
) -> Response[Problem]:
    problem = Problem(
        type=f"urn:jobhub:problem:{code}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        request_id=request.scope.get("state", {}).get("request_id", ""),
        errors=found or [],
        job_status=job_status,
    )
    return Response(problem, status_code=status, media_type=PROBLEM_JSON, headers=headers)


HANDLERS: dict[Any, Any] = {
    errors.JobhubError: on_refusal,
    ValidationException: on_invalid_parameters,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
