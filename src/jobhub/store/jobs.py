"""Jobs as users and administrators see and change them: one function per statement of sql/queries/jobs.sql.

Not here: what workers do to jobs (`store.dispatch`), lists with filters (`store.listing`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from jobhub.domain.jobs import Attempt, Job, JobStatus
from jobhub.store.database import Connection


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `submit_job` stores. `scheduled_for` may be in the past: then the job is due now."""

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


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something, why and by which request: what the audit log keeps."""

    actor_id: UUID | None
    reason: str | None = None
    request_id: str | None = None


class QueuePlace(msgspec.Struct, frozen=True):
    """Where a pending job stands. `position` counts from 1 among the due jobs of its queue, at most 1,000; null if not due."""

    position: int | None
    reason: str


def job_from(row: Record) -> Job:
    """One row of `jobs` as a Job; columns that are not the API's business are left out."""
    return Job(**{name: row[name] for name in _JOB_FIELDS} | {"status": JobStatus(row["status"])})


_JOB_FIELDS = tuple(field.name for field in msgspec.structs.fields(Job))


def _job_or_none(row: Record | None) -> Job | None:
    return job_from(row) if row else None


async def submit_job(db: Connection, job: NewJob, key: IdempotencyKey | None) -> Job | None:
    """Store a job with its delivery and key; when this returns, all are committed. None: the key stands for another submit."""
    named = msgspec.structs.asdict(key) if key else {"key": None, "body_sha256": None}
    return _job_or_none(await db.fetch_row("submit_job", **msgspec.structs.asdict(job), **named))


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


async def clean_up_jobs(db: Connection, cutoff: datetime, statuses: list[JobStatus]) -> dict[str, int]:
    """Delete a batch of old finished jobs; how many by job type, nothing when none is left."""
    return _by_type(await db.fetch("clean_up_jobs", cutoff=cutoff, statuses=statuses))


async def count_jobs_to_clean_up(db: Connection, cutoff: datetime, statuses: list[JobStatus]) -> dict[str, int]:
    """How many jobs by job type `clean_up_jobs` would delete in all."""
    return _by_type(await db.fetch("count_jobs_to_clean_up", cutoff=cutoff, statuses=statuses))


def _by_type(rows: list[Record]) -> dict[str, int]:
    return {row["job_type"]: row["deleted"] for row in rows}


async def try_clean_up_lock(db: Connection) -> bool:
    """Whether this session now holds the lock that lets one clean-up run at a time."""
    row = await db.fetch_row("try_clean_up_lock")
    return bool(row and row["locked"])


async def clean_up_unlock(db: Connection) -> None:
    """Give the clean-up lock back."""
    await db.execute("clean_up_unlock")


async def record_clean_up(db: Connection, *, details: dict[str, Any], act: Act) -> None:
    """Put a clean-up in the audit log."""
    await db.execute("record_clean_up", actor_id=act.actor_id, request_id=act.request_id, details=details)


async def database_now(db: Connection) -> datetime:
    """The database's clock, aware UTC."""
    row = await db.fetch_row("database_now")
    assert row is not None
    now: datetime = row["now"]
    return now
