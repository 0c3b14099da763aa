"""Removing what is old, a batch at a time: one function per statement of sql/queries/retention.sql.

Not here: what is old, and going on from batch to batch (`services.clean_up`, `services.retention`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from jobhub.domain.jobs import JobStatus
from jobhub.store.database import Connection
from jobhub.store.jobs import Act


class Cutoff(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of this status, and of this type or, if None, of all types without a cutoff of their own, that finished by then are old.

    `before` None: none of them is.
    """

    job_type: str | None = None
    status: JobStatus
    before: datetime | None


class Place(msgspec.Struct, frozen=True):
    """Where a walk is: the job it looked at last, by when it was submitted."""

    at: datetime
    job_id: UUID


class AttemptPlace(msgspec.Struct, frozen=True):
    """The attempt a walk looked at last, by when it ended."""

    at: datetime
    job_id: UUID
    number: int


START = Place(datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
FIRST_ATTEMPT = AttemptPlace(START.at, START.job_id, 0)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at some jobs found: how many were deleted, or would be, by job type; where to go on, None at the end.

    `passed_over` old ones were just being changed by somebody else.
    """

    deleted: dict[str, int]
    passed_over: int = 0
    last: Place | None


async def clean_up_jobs(db: Connection, cutoffs: Sequence[Cutoff], *, after: Place, details: dict[str, Any], act: Act) -> Batch:
    """Look at the next 1,000 jobs, delete the old ones, and put that on record. Failed jobs only go if `act` is nobody's."""
    row = await db.fetch_row(
        "clean_up_jobs", **_rules(cutoffs), **_after(after), actor_id=act.actor_id, request_id=act.request_id, details=details
    )
    assert row is not None  # a SELECT without a condition
    return Batch(deleted=row["deleted"] or {}, passed_over=row["passed_over"], last=_place(row))


async def count_jobs_to_clean_up(db: Connection, cutoffs: Sequence[Cutoff], *, after: Place) -> Batch:
    """Look at the next 50,000 jobs, and count those that `clean_up_jobs` would delete for a person."""
    row = await db.fetch_row("count_jobs_to_clean_up", **_rules(cutoffs), **_after(after))
    assert row is not None  # a SELECT without a condition
    return Batch(deleted=row["deleted"] or {}, last=_place(row))


def _rules(cutoffs: Sequence[Cutoff]) -> dict[str, Any]:
    return {
        "rule_types": [cutoff.job_type for cutoff in cutoffs],
        "rule_statuses": [cutoff.status for cutoff in cutoffs],
        "cutoffs": [cutoff.before for cutoff in cutoffs],
    }


def _after(place: Place) -> dict[str, Any]:
    return {"after_at": place.at, "after_id": place.job_id}


def _place(row: Record) -> Place | None:
    return Place(row["last_at"], row["last_id"]) if row["last_id"] else None


async def remove_old_attempts(
    db: Connection, cutoff: datetime, *, after: AttemptPlace, details: dict[str, Any]
) -> tuple[int, AttemptPlace | None]:
    """Look at the next 1,000 attempts and delete the old ones; how many, and where to go on."""
    row = await db.fetch_row(
        "remove_old_attempts", cutoff=cutoff, **_after(Place(after.at, after.job_id)), after_number=after.number, details=details
    )
    assert row is not None  # a SELECT without a condition
    last = AttemptPlace(row["last_at"], row["last_id"], row["last_number"]) if row["last_id"] else None
    return int(row["removed"]), last


async def remove_old_audit_entries(db: Connection, cutoff: datetime, *, details: dict[str, Any]) -> int:
    """Delete a batch of old entries of the audit log; how many, 0 when none is left."""
    row = await db.fetch_row("remove_old_audit_entries", cutoff=cutoff, details=details)
    return int(row["removed"]) if row else 0


async def try_clean_up_lock(db: Connection) -> bool:
    """Whether this session now holds the lock that lets one clean-up run at a time."""
    row = await db.fetch_row("try_clean_up_lock")
    return bool(row and row["locked"])


async def clean_up_unlock(db: Connection) -> None:
    """Give the clean-up lock back."""
    await db.execute("clean_up_unlock")


async def commit_without_waiting(db: Connection) -> None:
    """This session's commits do not wait for the disk any more."""
    await db.execute("commit_without_waiting")


async def commit_with_waiting(db: Connection) -> None:
    """They do again, and what was committed before has reached it."""
    await db.execute("commit_with_waiting")


async def is_chore_due(db: Connection, chore: str, *, every: timedelta) -> bool:
    """Whether nobody has begun this for so long."""
    row = await db.fetch_row("is_chore_due", chore=chore, every_seconds=every.total_seconds())
    return bool(row and row["is_due"])


async def begin_chore(db: Connection, chore: str, *, every: timedelta) -> bool:
    """Whether nobody has begun this for so long; if so, somebody has now."""
    return await db.fetch_row("begin_chore", chore=chore, every_seconds=every.total_seconds()) is not None
