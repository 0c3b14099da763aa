"""Everything a call of the client can raise, one tree.

    ClientError
    ├── NoAnswer                     nobody answered, or the connection was lost; `may_have_been_done` says whether it matters
    ├── UnexpectedAnswer             something answered that is not jobhub, or is newer than this client
    ├── NotFinished                  the time for a wait is over; `job` is how it stands. Also a TimeoutError
    └── Refused                      the service said no: `code`, `status`, `detail`, `request_id`
        ├── InvalidRequest           `errors` names every field that is wrong
        ├── PayloadTooLarge
        ├── Unauthenticated          no token, or one that is not accepted (any more)
        ├── NotPermitted             for administrators only
        ├── NotFound                 not there, or not yours
        ├── Conflict                 not possible as things are
        │   ├── IllegalTransition    `job_status` is the status that doesn't allow it
        │   ├── EmailTaken
        │   ├── LastAdministrator
        │   └── CleanUpInProgress
        ├── KeyReused                one Idempotency-Key, two different requests
        ├── Throttled                come back after `retry_after_seconds`
        │   ├── TooManyAttempts
        │   ├── SubmitRateExceeded
        │   ├── TooManyPendingJobs
        │   └── TooManyStreams
        ├── Unavailable              the database or the service is away for now
        └── ServiceError             a bug on the other side; its operator finds `request_id` in the log

Which of them an answer becomes is decided by its `code`, or by its status if the code is not known here.
"""

from collections.abc import Mapping

import msgspec

from jobhub.contract.jobs import JobView
from jobhub.contract.problems import PROBLEM_JSON, ErrorItem, Problem
from jobhub.domain.jobs import JobStatus


class ClientError(Exception):
    """The root of the tree."""


class NoAnswer(ClientError):
    """No answer came. With `may_have_been_done` the request was sent, and nobody knows what became of it."""

    def __init__(self, reason: str, *, may_have_been_done: bool) -> None:
        super().__init__(reason)
        self.may_have_been_done = may_have_been_done


class UnexpectedAnswer(ClientError):
    """What came back can't be read as what jobhub answers."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Unexpected answer with status {status}: {reason}")
        self.status = status


class NotFinished(ClientError, TimeoutError):
    """The job was not finished in the time that was given."""

    def __init__(self, job: JobView, timeout_seconds: float) -> None:
        super().__init__(f"Job {job.id} is still {job.status.value} after {timeout_seconds:g} s.")
        self.job = job


class Refused(ClientError):
    """The service understood the request and refused it. `retry_after_seconds` is set if it said when to come back."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.code = problem.code
        self.status = problem.status
        self.detail = problem.detail
        self.request_id = problem.request_id
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problem, self.retry_after_seconds))


class InvalidRequest(Refused):
    """The request is malformed or invalid."""

    @property
    def errors(self) -> list[ErrorItem]:
        """Every field that is wrong."""
        return self.problem.errors


class PayloadTooLarge(Refused):
    """The body, or its parameters, are too large."""


class Unauthenticated(Refused):
    """No token, or one that is not accepted (any more); or wrong credentials."""


class NotPermitted(Refused):
    """Only an administrator may do this."""


class NotFound(Refused):
    """There is none, or it is not yours: nobody can tell the two apart."""


class Conflict(Refused):
    """The present state does not allow it."""


class IllegalTransition(Conflict):
    """The job's status does not allow it."""

    @property
    def job_status(self) -> JobStatus | None:
        """The status the job is in."""
        return JobStatus(self.problem.job_status) if self.problem.job_status else None


class EmailTaken(Conflict):
    """There is a user with this address."""


class LastAdministrator(Conflict):
    """Nobody would be left to administer."""


class CleanUpInProgress(Conflict):
    """Another clean-up is running."""


class KeyReused(Refused):
    """The Idempotency-Key stands for another request."""


class Throttled(Refused):
    """Too much, or too often."""


class TooManyAttempts(Throttled):
    """Too many failed logins."""


class SubmitRateExceeded(Throttled):
    """Too many submits within a minute."""


class TooManyPendingJobs(Throttled):
    """Too many jobs are pending already."""


class TooManyStreams(Throttled):
    """Too many event streams are open."""


class Unavailable(Refused):
    """The service, or its database, is away for now."""


class ServiceError(Refused):
    """A bug on the other side."""


BY_CODE: Mapping[str, type[Refused]] = {
    "refused": Refused,
    "invalid_request": InvalidRequest,
    "malformed_json": InvalidRequest,
    "malformed_http": InvalidRequest,
    "too_deep": InvalidRequest,
    "use_cursor": InvalidRequest,
    "filter_too_broad": InvalidRequest,
    "invalid_cursor": InvalidRequest,
    "method_not_allowed": InvalidRequest,
    "unsupported_media_type": InvalidRequest,
    "target_too_long": PayloadTooLarge,
    "head_too_large": PayloadTooLarge,
    "payload_too_large": PayloadTooLarge,
    "unauthenticated": Unauthenticated,
    "wrong_credentials": Unauthenticated,
    "invalid_token": Unauthenticated,
    "token_expired": Unauthenticated,
    "invalid_refresh_token": Unauthenticated,
    "invalid_ticket": Unauthenticated,
    "invalid_session": Unauthenticated,
    "unknown_account": Unauthenticated,
    "administrators_only": NotPermitted,
    "admin_only_job_type": NotPermitted,
    "not_found": NotFound,
    "conflict": Conflict,
    "already_exists": Conflict,
    "illegal_transition": IllegalTransition,
    "email_taken": EmailTaken,
    "last_administrator": LastAdministrator,
    "clean_up_in_progress": CleanUpInProgress,
    "idempotency_key_reused": KeyReused,
    "throttled": Throttled,
    "too_many_attempts": TooManyAttempts,
    "submit_rate_exceeded": SubmitRateExceeded,
    "too_many_pending_jobs": TooManyPendingJobs,
    "too_many_streams": TooManyStreams,
    "database_unavailable": Unavailable,
    "internal_error": ServiceError,
}

_BY_STATUS: Mapping[int, type[Refused]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    429: Throttled,
    502: Unavailable,  # of a proxy whose service is not there
    503: Unavailable,
    504: Unavailable,
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ClientError:
    """The error an answer stands for. `headers` have names in lower case."""
    problem = _problem(status, headers, body)
    if problem is None:
        return UnexpectedAnswer(status, body[:200].decode(errors="replace") or "no body")
    by_status = _BY_STATUS.get(status, ServiceError if status >= 500 else Refused)
    return BY_CODE.get(problem.code, by_status)(problem, _seconds(headers.get("retry-after")))


def _problem(status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
    if headers.get("content-type", "").startswith(PROBLEM_JSON):
        try:
            return msgspec.json.decode(body, type=Problem)
        except msgspec.MsgspecError:
            return None
    if status in (502, 503, 504):  # a proxy says so, in its own words
        detail = f"There is no service behind the proxy at the moment (status {status})."
        return Problem(type="about:blank", title="", status=status, detail=detail, instance="", code="unavailable", request_id="")
    return None


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; the form with a date is not ours."""
    return float(text) if text and text.isascii() and text.isdigit() else None
