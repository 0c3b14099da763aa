"""What the machine believes: jobs, deliveries, workers and keys as plain values, and what a statement can see of them.

Times are whole seconds of a clock of the model's own, which only `Model.now` moves. Not here: what the verbs do
(`users`, `workers`), and what the database says (`snapshot`).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from jobhub.domain.jobs import AttemptOutcome, JobStatus

# Far from any limit of the statements, so that the milliseconds a statement takes decide nothing.
LATER_SECONDS = 150
# The machine makes a renewed lease last that long: the real 15 s could end while a loaded computer takes its time over one example.
LEASE_SECONDS = 3590
KEY_SECONDS = 24 * 3600
PUT_BACK_SECONDS = 30
UNKNOWN_TYPE_SECONDS = 3600


@dataclass(frozen=True)
class Attempt:
    """An ended attempt as it should stand on record."""

    number: int
    worker_id: UUID
    outcome: AttemptOutcome
    error_code: str | None = None


@dataclass
class Job:
    """A job as it should stand in `jobs`. `delivery` is negative while the database has not told its number yet."""

    owner_id: UUID
    job_type: str
    queue: str
    priority: int
    max_attempts: int
    created_at: int
    updated_at: int
    due_at: int
    scheduled_for: int | None = None
    deliver_at: int | None = None
    delivery: int | None = None
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    failed_attempts: int = 0
    lost_attempts: int = 0
    progress_percentage: int = 0
    progress_message: str | None = None
    result: Any = None
    error_code: str | None = None
    worker_id: UUID | None = None
    started_at: int | None = None
    completed_at: int | None = None
    cancel_requested_at: int | None = None
    unknown_type_since: int | None = None
    pinned_at: int | None = None
    version: int = 1
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """A row of `procrastinate_jobs`. Which job it may start is the job's business: `Job.delivery`."""

    job_id: UUID
    queue: str
    priority: int


@dataclass(frozen=True)
class Key:
    """What an Idempotency-Key stands for."""

    job_id: UUID
    expires_at: int


@dataclass
class Model:
    """Everything committed. `next_number` is that of the next job to be submitted."""

    now: int = 0
    next_number: int = 0
    jobs: dict[UUID, Job] = field(default_factory=dict)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    leases: dict[UUID, int] = field(default_factory=dict)
    keys: dict[tuple[UUID, str], Key] = field(default_factory=dict)
    unnumbered: Iterator[int] = field(default_factory=lambda: itertools.count(-1, -1))

    def copy(self) -> "Model":
        """A model that can be changed without changing this one; both draw on the same negative numbers."""
        jobs = {job_id: replace(job) for job_id, job in self.jobs.items()}
        return replace(self, jobs=jobs, deliveries=dict(self.deliveries), leases=dict(self.leases), keys=dict(self.keys))

    def with_status(self, *statuses: JobStatus) -> list[UUID]:
        return [job_id for job_id, job in self.jobs.items() if job.status in statuses]

    def waiting(self) -> list[UUID]:
        """Jobs that have no delivery yet."""
        return [job_id for job_id, job in self.jobs.items() if job.deliver_at is not None]

    def has_lease(self, worker_id: UUID | None) -> bool:
        return worker_id in self.leases and self.leases[worker_id] > self.now

    def change(self, job_id: UUID, **columns: Any) -> None:
        """A change a client can see: `version` grows."""
        job = self.jobs[job_id]
        self.jobs[job_id] = replace(job, **columns, version=job.version + 1, updated_at=self.now)

    def deliver(self, job_id: UUID) -> int:
        """A new delivery of the job, without a number yet."""
        job, number = self.jobs[job_id], next(self.unnumbered)
        self.deliveries[number] = Delivery(job_id, job.queue, job.priority)
        return number


@dataclass(frozen=True)
class Seen:
    """What one statement sees while others are not committed yet.

    `before` is what its snapshot shows; a row it then has to wait for, it meets again as the model has it by then. What others
    hold, SKIP LOCKED passes over; a delivery made by them is held too, since the snapshot doesn't show it.
    """

    before: Model
    held_jobs: frozenset[UUID] = frozenset()
    held_deliveries: frozenset[int] = frozenset()

    def and_held(self, held: "Seen") -> "Seen":
        return replace(self, held_jobs=self.held_jobs | held.held_jobs, held_deliveries=self.held_deliveries | held.held_deliveries)


def held_by_change(before: Model, after: Model) -> Seen:
    """What a transaction holds that turned `before` into `after`: no verb takes a row and leaves it as it was."""
    jobs = {job_id for job_id in before.jobs | after.jobs if before.jobs.get(job_id) != after.jobs.get(job_id)}
    return Seen(before, frozenset(jobs), frozenset(before.deliveries.keys() ^ after.deliveries.keys()))
