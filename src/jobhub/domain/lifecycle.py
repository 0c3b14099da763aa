"""Which verb may be used from which status.

The same table stands in docs/job-lifecycle.md, and in the WHERE of each statement; tests hold the three together.
"""

from jobhub.domain.jobs import JobStatus, Verb

PENDING, RUNNING = JobStatus.PENDING, JobStatus.RUNNING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED

ALLOWED_FROM: dict[Verb, frozenset[JobStatus]] = {
    Verb.SUBMIT: frozenset(),
    Verb.START: frozenset({PENDING}),
    Verb.PROGRESS: frozenset({RUNNING}),
    Verb.COMPLETE: frozenset({RUNNING}),
    Verb.FAIL: frozenset({RUNNING}),
    # Repeating a cancel changes nothing and is no error.
    Verb.CANCEL: frozenset({PENDING, RUNNING, CANCELLED}),
    Verb.RETRY: frozenset({FAILED, CANCELLED}),
    Verb.FORCE_COMPLETE: frozenset({PENDING, RUNNING, FAILED, CANCELLED}),
    Verb.RELEASE: frozenset({RUNNING}),
    Verb.RESCUE: frozenset({RUNNING}),
    # Failed jobs are kept for analysis, whatever their age; a policy that names them is the only exception (store.retention).
    Verb.CLEAN_UP: frozenset({COMPLETED, CANCELLED}),
}


def is_allowed(verb: Verb, status: JobStatus) -> bool:
    """Whether `verb` may be used on a job that is `status`."""
    return status in ALLOWED_FROM[verb]
