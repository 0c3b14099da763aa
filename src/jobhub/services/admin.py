"""What only administrators can do: finish a job by hand, and clean up."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from jobhub.domain.errors import CleanUpInProgress
from jobhub.domain.jobs import Job, JobStatus, Verb
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob, placed, transition
from jobhub.store import jobs as store
from jobhub.store.database import Connection, Database
from jobhub.store.jobs import Act


class CleanUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up deleted, or would delete."""

    deleted: int
    by_type: dict[str, int]
    cutoff: datetime
    dry_run: bool


async def force_complete(db: Database, job_id: UUID, *, result: dict[str, Any] | None, by: User, act: Act) -> PlacedJob:
    """Complete a job by hand; the outcome of an attempt that runs meanwhile is dropped.

    Raises:
        NotFound: no such job.
        IllegalTransition: it has completed already.
    """

    async def change() -> Job | None:
        return await store.force_complete_job(db, job_id, result=result, act=act)

    return await placed(db, await transition(db, job_id, Verb.FORCE_COMPLETE, by, change))


async def clean_up(db: Database, *, days_old: int, include_cancelled: bool, dry_run: bool, act: Act) -> CleanUp:
    """Delete completed jobs that finished at least `days_old` days ago, and cancelled ones if asked. Failed jobs stay.

    Works in batches, each committed on its own and with its own row in the audit log: what was deleted stays so, whatever happens next.

    Raises:
        CleanUpInProgress: another one is running.
    """
    statuses = [JobStatus.COMPLETED, *([JobStatus.CANCELLED] if include_cancelled else [])]
    async with db.session() as session:
        cutoff = await store.database_now(session) - timedelta(days=days_old)
        if dry_run:
            by_type = await store.count_jobs_to_clean_up(session, cutoff, statuses)
        else:
            by_type = await _clean_up_locked(session, cutoff, statuses, act)
    return CleanUp(deleted=sum(by_type.values()), by_type=by_type, cutoff=cutoff, dry_run=dry_run)


async def _clean_up_locked(session: Connection, cutoff: datetime, statuses: list[JobStatus], act: Act) -> dict[str, int]:
    if not await store.try_clean_up_lock(session):
        raise CleanUpInProgress
    deleted: dict[str, int] = {}
    try:
        while batch := await _clean_up_batch(session, cutoff, statuses, act):
            for job_type, count in batch.items():
                deleted[job_type] = deleted.get(job_type, 0) + count
    finally:
        await store.clean_up_unlock(session)
    return deleted


async def _clean_up_batch(session: Connection, cutoff: datetime, statuses: list[JobStatus], act: Act) -> dict[str, int]:
    """Delete a batch and put that on record, both or neither."""
    async with session.transaction():
        batch = await store.clean_up_jobs(session, cutoff, statuses)
        if batch:
            await store.record_clean_up(session, details={"deleted": batch, "cutoff": cutoff, "statuses": statuses}, act=act)
    return batch
