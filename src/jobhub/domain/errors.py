"""Every error jobhub raises on purpose, one tree.

    JobhubError
    ├── OperatorError                the process can't start or go on; the message says what to do
    │   └── DatabaseUnavailable      no answer from PostgreSQL; try again later
    ├── JobFailed                    a handler's own verdict, shown to the user who submitted the job
    └── Refusal                      a caller asked for something that can't be done
        ├── InvalidInput             one or more fields are wrong; all of them are listed
        ├── FilterTooBroad           no index leads to what a list is to show, and looking for it takes too long
        ├── PayloadTooLarge
        ├── UnsupportedMediaType
        ├── KeyReused                    one Idempotency-Key, two different requests
        ├── Unauthenticated
        ├── Throttled                come back after `retry_after_seconds`
        │   ├── TooManyAttempts
        │   ├── SubmitRateExceeded
        │   └── TooManyPendingJobs
        ├── TooManyStreams
        ├── NotPermitted             the role does not allow it
        │   └── AdminOnlyJobType
        ├── NotFound                 unknown, or somebody else's: the two must look the same
        └── Conflict                 the present state does not allow it
            ├── IllegalTransition
            ├── AlreadyExists            somebody made the same thing at the same time
            ├── EmailTaken
            ├── LastAdministrator
            └── CleanUpInProgress

Each class carries fields and builds its message once. `code` is the stable word a program may rely on. Which HTTP status an
error becomes is decided in `web.problems`, not here.
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

import msgspec

from jobhub.domain.jobs import JobStatus, Verb


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where (`/parameters/width`, `?page` or `#Idempotency-Key`) and what."""

    pointer: str
    detail: str


class JobhubError(Exception):
    """The root of the tree."""

    code: ClassVar[str] = "error"


class OperatorError(JobhubError):
    """Something the person who runs jobhub has to put right. Printed without a traceback; the process exits 1."""

    code = "operator_error"


class DatabaseUnavailable(OperatorError):
    """PostgreSQL can't be reached, or refuses to work for now."""

    code = "database_unavailable"

    def __init__(self) -> None:
        super().__init__("The database can't be reached at the moment. Nothing was changed, or the change is not confirmed: try again.")


class JobFailed(JobhubError):
    """Raise this in a handler to end the attempt with a message its user may read.

    `code` is a short stable word for programs and statistics. `retryable=False` ends the job even if attempts are left.
    """

    def __init__(self, message: str, *, code: str = "job_failed", retryable: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_job_failed, (self.message, self.error_code, self.retryable))


def _rebuild_job_failed(message: str, code: str, retryable: bool) -> JobFailed:
    return JobFailed(message, code=code, retryable=retryable)


class Refusal(JobhubError):
    """The request was understood and refused; the caller can do something about it."""

    code = "refused"


class InvalidInput(Refusal):
    """One or more fields are not acceptable. `errors` lists every one that was found."""

    code = "invalid_request"

    def __init__(self, errors: Sequence[FieldError] = (), *, message: str | None = None, code: str = "invalid_request") -> None:
        self.errors = tuple(errors)
        self.code = code  # type: ignore[misc]  # an instance may be more precise than its class
        super().__init__(message or _summary(self.errors))


def _summary(errors: Sequence[FieldError]) -> str:
    if not errors:
        return "The request is not valid."
    if len(errors) == 1:
        return f"{errors[0].pointer or 'The body'}: {errors[0].detail}"
    return f"{len(errors)} fields are not valid; `errors` lists them."


class FilterTooBroad(Refusal):
    code = "filter_too_broad"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"No index leads to the jobs that match all of these filters, and the search was given up after {seconds:g} s: narrow it by"
            " created_after and created_before, or leave a filter out."
        )


class PayloadTooLarge(Refusal):
    code = "payload_too_large"

    def __init__(self, what: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"{what} is larger than {limit_bytes} bytes.")


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"

    def __init__(self, found: str) -> None:
        super().__init__(f"The body must be sent as 'application/json' in UTF-8 without a content encoding, not as {found!r}.")


class KeyReused(Refusal):
    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The Idempotency-Key {key[:50]!r} was used for a request with another body: use a new key for a new request.")


class Unauthenticated(Refusal):
    """No token, or one that can't be accepted."""

    code = "unauthenticated"

    def __init__(self, reason: str, *, code: str = "unauthenticated") -> None:
        self.code = code  # type: ignore[misc]
        super().__init__(reason)


class Throttled(Refusal):
    """Too much or too often; the same request may be accepted after `retry_after_seconds`."""

    code = "throttled"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class TooManyAttempts(Throttled):
    code = "too_many_attempts"

    def __init__(self, retry_after_seconds: int, *, what: str) -> None:
        super().__init__(f"Too many failed attempts {what}: try again in {retry_after_seconds} s.", retry_after_seconds)


class SubmitRateExceeded(Throttled):
    code = "submit_rate_exceeded"

    def __init__(self, limit: int, retry_after_seconds: int) -> None:
        self.limit = limit
        super().__init__(f"You may submit {limit} jobs a minute: try again in {retry_after_seconds} s.", retry_after_seconds)


class TooManyPendingJobs(Throttled):
    code = "too_many_pending_jobs"

    def __init__(self, limit: int, retry_after_seconds: int) -> None:
        self.limit = limit
        super().__init__(f"You may have {limit} jobs pending: wait until some have started, or cancel some.", retry_after_seconds)


class TooManyStreams(Refusal):
    code = "too_many_streams"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"You have {limit} event streams open, and no more are allowed at once: close one.")


class NotPermitted(Refusal):
    code = "administrators_only"

    def __init__(self, message: str = "Only an administrator may do this.") -> None:
        super().__init__(message)


class AdminOnlyJobType(NotPermitted):
    code = "admin_only_job_type"

    def __init__(self, job_type: str) -> None:
        self.job_type = job_type
        super().__init__(f"Jobs of type {job_type!r} are for administrators only.")


class NotFound(Refusal):
    """No such thing, or not the caller's: nobody can tell the two apart."""

    code = "not_found"

    def __init__(self, what: str, ident: object) -> None:
        self.ident = ident
        super().__init__(f"No {what} {str(ident)[:100]!r} that you can see.")


class Conflict(Refusal):
    code = "conflict"


class IllegalTransition(Conflict):
    """The life cycle (docs/job-lifecycle.md) does not allow `verb` from the job's present `status`."""

    code = "illegal_transition"

    def __init__(self, job_id: UUID, verb: Verb, status: JobStatus) -> None:
        self.job_id = job_id
        self.verb = verb
        self.status = status
        super().__init__(f"Job {job_id} is {status.value}; {verb.value} is not possible from there.")


class AlreadyExists(Conflict):
    code = "already_exists"

    def __init__(self) -> None:
        super().__init__("The same thing was made by another request at the same time.")


class EmailTaken(Conflict):
    code = "email_taken"

    def __init__(self, email: str) -> None:
        super().__init__(f"There is a user with the e-mail address {email!r} already.")


class LastAdministrator(Conflict):
    code = "last_administrator"

    def __init__(self) -> None:
        super().__init__("This is the last active administrator: make another one first.")


class CleanUpInProgress(Conflict):
    code = "clean_up_in_progress"

    def __init__(self) -> None:
        super().__init__("A clean-up is running already: wait until it has ended.")
