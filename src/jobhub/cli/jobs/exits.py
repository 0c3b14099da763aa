"""What the exit status of a command says. docs/command-line.md has the same table; a test holds the two together."""

from enum import IntEnum

from jobhub.client import errors
from jobhub.domain.jobs import JobStatus


class Exit(IntEnum):
    """Statuses by which scripts tell what happened."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    NOT_LET_IN = 3
    NOT_FOUND = 4
    CONFLICT = 5
    AWAY = 6
    TIMED_OUT = 7
    NOT_HEALTHY = 8
    JOB_FAILED = 10
    JOB_CANCELLED = 11
    INTERRUPTED = 130


_OF_ERRORS: tuple[tuple[type[errors.ClientError], Exit], ...] = (
    (errors.InvalidRequest, Exit.USAGE),
    (errors.PayloadTooLarge, Exit.USAGE),
    (errors.Unauthenticated, Exit.NOT_LET_IN),
    (errors.NotPermitted, Exit.NOT_LET_IN),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.Conflict, Exit.CONFLICT),
    (errors.KeyReused, Exit.CONFLICT),
    (errors.Throttled, Exit.AWAY),
    (errors.Unavailable, Exit.AWAY),
    (errors.NoAnswer, Exit.AWAY),
    (errors.NotFinished, Exit.TIMED_OUT),
)


def exit_of_error(error: errors.ClientError) -> Exit:
    """The status for what a call of the client raised."""
    return next((status for kind, status in _OF_ERRORS if isinstance(error, kind)), Exit.OTHER)


def exit_of_job(status: JobStatus) -> Exit:
    """The status for how a job that was waited for ended."""
    return {JobStatus.FAILED: Exit.JOB_FAILED, JobStatus.CANCELLED: Exit.JOB_CANCELLED}.get(status, Exit.DONE)
