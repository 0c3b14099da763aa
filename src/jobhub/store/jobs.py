"""Jobs as users and administrators see and change them: one function per statement of sql/queries/jobs.sql.

Not here: what workers do to jobs (`store.dispatch`), lists with filters (`store.listing`), removing old ones (`store.retention`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from jobhub.domain.jobs import Attempt, Intervener, Job, JobStatus
from jobhub.domain.limits import NO_LIMITS, Limits, Usage
from jobhub.store.database import Connection


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `submit_jobs` stores of a job. `scheduled_for` may be in the past: then the job is due now."""

    id: UUID
    owner_id: UUID
    job_type: str
    queue: str
    title: str
    description: str | None
    parameters: dict[str, Any]
    tags: list[str]
    priority: int
    max_attempts: int
    scheduled_for: datetime | None


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A client's own name for a request, and the fingerprint of what it asked for."""

    key: str
    body_sha256: bytes


class Submit(msgspec.Struct, frozen=True):
    """One of the jobs `submit_jobs` stores, its parameters encoded (`encode_parameters`)."""

    job: NewJob
    key: IdempotencyKey | None
    parameters: msgspec.Raw


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something, why and by which request: what the audit log keeps."""

    actor_id: UUID | None
    reason: str | None = None
    request_id: str | None = None


class QueuePlace(msgspec.Struct, frozen=True):
    """Where a pending job stands. `position` counts from 1 among the due jobs of its queue, at most 1,000; null if not due."""

    position: int | None
    reason: str


class Refused(msgspec.Struct, frozen=True):
    """A submit that a limit of its owner does not allow now: which one, by the code of its error, and when to try again."""

    code: str
    retry_after_seconds: int


# None: the submit's key stands for another one.
SubmitAnswer = tuple[Job, QueuePlace] | Refused | None


def job_from(row: Record) -> Job:
    """One row of `jobs` as a Job; columns that are not the API's business are left out."""
    by = row["intervened_by"]
    labels = {"status": JobStatus(row["status"]), "intervened_by": Intervener(by) if by else None}
    return Job(**{name: row[name] for name in _JOB_FIELDS} | labels)


_JOB_FIELDS = tuple(field.name for field in msgspec.structs.fields(Job))


def _job_or_none(row: Record | None) -> Job | None:
    return job_from(row) if row else None


async def submit_job(db: Connection, job: NewJob, key: IdempotencyKey | None) -> Job | None:
    """Store one job without limits, as `submit_jobs`."""
    [stored] = await submit_jobs(db, [Submit(job, key, encode_parameters(job))])
    return stored[0] if isinstance(stored, tuple) else None


async def submit_jobs(db: Connection, submits: Sequence[Submit], limits: Limits = NO_LIMITS) -> list[SubmitAnswer]:
    """Store jobs with their deliveries and keys; when this returns, all are committed, and when it raises, none is.

    One answer per submit, in order; what is refused leaves nothing behind. None: its key stands for another submit, which may be an
    earlier one of these.
    """
    rows = await db.fetch(
        "submit_jobs",
        ids=[submit.job.id for submit in submits],
        owner_ids=[submit.job.owner_id for submit in submits],
        job_types=[submit.job.job_type for submit in submits],
        queues=[submit.job.queue for submit in submits],
        titles=[submit.job.title for submit in submits],
        descriptions=[submit.job.description for submit in submits],
        parameters=[submit.parameters for submit in submits],
        tags=[msgspec.Raw(msgspec.json.encode(submit.job.tags)) for submit in submits],
        priorities=[submit.job.priority for submit in submits],
        max_attempts=[submit.job.max_attempts for submit in submits],
        scheduled_for=[submit.job.scheduled_for for submit in submits],
        keys=[submit.key.key if submit.key else None for submit in submits],
        bodies_sha256=[submit.key.body_sha256 if submit.key else None for submit in submits],
        max_per_minute=limits.submits_per_minute,
        max_pending=limits.pending_jobs,
    )
    answered = {row["job_id"]: row for row in rows}
    return [_answer(submit.job, answered.get(submit.job.id)) for submit in submits]


def encode_parameters(job: NewJob) -> msgspec.Raw:
    """A job's parameters as asyncpg takes them for one element of an array: a list among them would make another dimension of it."""
    return msgspec.Raw(msgspec.json.encode(job.parameters))


def _answer(job: NewJob, row: Record | None) -> SubmitAnswer:
    if row is None:
        return None
    return Refused(row["code"], row["retry_after_seconds"]) if row["code"] else _stored(job, row)


def _stored(job: NewJob, row: Record) -> tuple[Job, QueuePlace]:
    """A job that was just stored: what was sent and the defaults of the table, which needn't travel back."""
    created_at, scheduled_for = row["created_at"], job.scheduled_for and job.scheduled_for.astimezone(UTC)
    stored = Job(
        id=job.id,
        owner_id=job.owner_id,
        job_type=job.job_type,
        queue=job.queue,
        title=job.title,
        description=job.description,
        parameters=job.parameters,
        tags=job.tags,
        priority=job.priority,
        status=JobStatus.PENDING,
        progress_percentage=0,
        progress_message=None,
        result=None,
        error_message=None,
        error_code=None,
        attempt=0,
        failed_attempts=0,
        max_attempts=job.max_attempts,
        scheduled_for=scheduled_for,
        due_at=max(created_at, scheduled_for) if scheduled_for else created_at,
        created_at=created_at,
        updated_at=created_at,
        started_at=None,
        completed_at=None,
        cancel_requested_at=None,
        intervened_by=None,
        intervention_reason=None,
        pinned_at=None,
        worker_id=None,
        version=1,
    )
    return stored, QueuePlace(row["position"], row["reason"])


async def get_usage(db: Connection, owner_id: UUID) -> Usage:
    """How much of their limits a user has used now."""
    [row] = await db.fetch("get_usage", owner_id=owner_id)
    return Usage(**row)


async def get_usage_of_users(db: Connection, owner_ids: Sequence[UUID]) -> dict[UUID, Usage]:
    """The same of several users, by their ids."""
    rows = await db.fetch("get_usage_of_users", owner_ids=list(owner_ids))
    return {
        row["owner_id"]: Usage(
            submits_per_minute=row["submits_per_minute"], pending_jobs=row["pending_jobs"], running_jobs=row["running_jobs"]
        )
        for row in rows
    }


async def find_idempotency_key(db: Connection, owner_id: UUID, key: str) -> tuple[UUID, bytes] | None:
    """The job a key stands for and the fingerprint of its body; None if it was not used lately."""
    row = await db.fetch_row("find_idempotency_key", owner_id=owner_id, key=key)
    return (row["job_id"], row["body_sha256"]) if row else None


async def remove_expired_idempotency_keys(db: Connection) -> int:
    """Forget a batch of old keys; how many."""
    row = await db.fetch_row("remove_expired_idempotency_keys")
    return int(row["removed"]) if row else 0


async def get_job(db: Connection, job_id: UUID, *, owner_id: UUID | None) -> Job | None:
    """One job; None if there is none or `owner_id` is given and it is somebody else's."""
    return _job_or_none(await db.fetch_row("get_job", job_id=job_id, owner_id=owner_id))


async def list_attempts(db: Connection, job_id: UUID) -> list[Attempt]:
    """All attempts of a job in order, the running one last."""
    rows = await db.fetch("list_attempts", job_id=job_id)
    return [msgspec.convert(dict(row), Attempt) for row in rows]


async def queue_places(db: Connection, job_ids: list[UUID]) -> dict[UUID, QueuePlace]:
    """Places of those of `job_ids` that are pending."""
    rows = await db.fetch("queue_places", job_ids=job_ids)
    return {row["job_id"]: QueuePlace(row["position"], row["reason"]) for row in rows}


async def cancel_job(db: Connection, job_id: UUID, *, owner_id: UUID | None, act: Act) -> Job | None:
    """The job, now cancelled or asked to stop; None if nothing changed."""
    return _job_or_none(await db.fetch_row("cancel_job", job_id=job_id, owner_id=owner_id, **msgspec.structs.asdict(act)))


async def retry_job(db: Connection, job_id: UUID, *, owner_id: UUID | None, act: Act) -> Job | None:
    """The job, now pending; None if nothing changed."""
    return _job_or_none(await db.fetch_row("retry_job", job_id=job_id, owner_id=owner_id, **msgspec.structs.asdict(act)))


async def force_complete_job(db: Connection, job_id: UUID, *, result: dict[str, Any] | None, act: Act) -> Job | None:
    """The job, now completed; None if nothing changed."""
    return _job_or_none(await db.fetch_row("force_complete_job", job_id=job_id, result=result, **msgspec.structs.asdict(act)))


async def cancel_pending_jobs_of_user(db: Connection, owner_id: UUID, *, act: Act) -> int:
    """Cancel a batch of a user's pending jobs; how many, 0 when none is left."""
    row = await db.fetch_row("cancel_pending_jobs_of_user", owner_id=owner_id, **msgspec.structs.asdict(act))
    return int(row["cancelled"]) if row else 0


async def pin_job(db: Connection, job_id: UUID, *, act: Act) -> Job | None:
    """The job, now pinned; None if nothing changed."""
    return _job_or_none(await db.fetch_row("pin_job", job_id=job_id, **msgspec.structs.asdict(act)))


async def unpin_job(db: Connection, job_id: UUID, *, act: Act) -> Job | None:
    """The job, pinned no more; None if nothing changed."""
    return _job_or_none(await db.fetch_row("unpin_job", job_id=job_id, **msgspec.structs.asdict(act)))


async def database_now(db: Connection) -> datetime:
    """The database's clock, aware UTC."""
    row = await db.fetch_row("database_now")
    assert row is not None
    now: datetime = row["now"]
    return now
