"""What a job is: its states, its attempts, and the verbs that move it.

Not here: which verb is allowed from which state (`domain.lifecycle`), where jobs are kept (`store.jobs`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class JobStatus(StrEnum):
    """The labels are those of the database type `job_status`; a test compares the two."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_finished(self) -> bool:
        return self in FINISHED


FINISHED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class Verb(StrEnum):
    """Everything that can happen to a job; docs/job-lifecycle.md says from where to where."""

    SUBMIT = "submit"
    START = "start"
    PROGRESS = "progress"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"
    FORCE_COMPLETE = "force_complete"
    RELEASE = "release"
    RESCUE = "rescue"
    CLEAN_UP = "clean_up"


class AttemptOutcome(StrEnum):
    """How an attempt ended; the labels of the database type `attempt_outcome`."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    WORKER_LOST = "worker_lost"
    SUPERSEDED = "superseded"


class Intervener(StrEnum):
    """In which role somebody stopped a job or completed it by hand; the labels of the database type `intervener`."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `jobs`. Times are aware UTC; `parameters` and `result` are decoded JSON.

    `scheduled_for` is what the user, or the backoff, asked for; `due_at` is when the job became or becomes ready to run.
    `intervened_by` cancelled it, asked it to stop, or completed it by hand. `worker_id` is the worker of the latest attempt.
    Since `pinned_at` no clean-up removes it.
    `failed_attempts` counts those that use up `max_attempts`.
    """

    id: UUID
    owner_id: UUID
    job_type: str
    queue: str
    title: str
    description: str | None
    parameters: dict[str, Any]
    tags: list[str]
    priority: int
    status: JobStatus
    progress_percentage: int
    progress_message: str | None
    result: Any
    error_message: str | None
    error_code: str | None
    attempt: int
    failed_attempts: int
    max_attempts: int
    scheduled_for: datetime | None
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    intervened_by: Intervener | None
    intervention_reason: str | None
    pinned_at: datetime | None
    worker_id: UUID | None
    version: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job, numbered from 1. `ended_at` and `outcome` are null while it runs."""

    number: int
    worker_id: UUID | None
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    error_code: str | None
    error_message: str | None
    traceback: str | None


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to run one attempt, as the claim returned it. `lost_attempts` > 0: it may be what brings workers down."""

    id: UUID
    owner_id: UUID
    job_type: str
    attempt: int
    failed_attempts: int
    lost_attempts: int
    max_attempts: int
    parameters: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker says an attempt ended: the input of the statement `finish_jobs`.

    `status` is where the job goes. `pending` with `delay_seconds` is a retry, a release or a snooze.
    """

    job_id: UUID
    attempt: int
    outcome: AttemptOutcome
    status: JobStatus
    result: Any = None
    error_code: str | None = None
    error_message: str | None = None
    traceback: str | None = None
    delay_seconds: float = 0.0
