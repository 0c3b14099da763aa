"""Deleting what is old in batches, by hand. Not here: the same by a policy (`services.retention`)."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from jobhub.domain.errors import CleanUpInProgress
from jobhub.domain.jobs import JobStatus
from jobhub.domain.spans import LENGTHS, Resolution, begin_of
from jobhub.store import jobs, reports, retention
from jobhub.store.connections import AWAY
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.retention import Cutoff, Place
from jobhub.store.session import Session

T = TypeVar("T")

# Of the time a clean-up lasts, it keeps the server busy for a fifth: what claims and submits need comes first.
_PAUSE_PER_WORK = 4.0
# Old jobs that were just being changed are looked for again so often, after so long: who changes one holds it for a statement.
_MORE_LOOKS = 5
_LOOK_AGAIN_SECONDS = 0.5
_MAX_LOOKED_AT = 20_000  # for an exact preview: some tens of milliseconds
# The shortest spans that are kept (`stats_kept_from`) of so many days ago.
_KEPT = ((7, Resolution.MINUTE), (400, Resolution.HOUR), (math.inf, Resolution.DAY))


class CleanUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up deleted, or would delete."""

    deleted: int
    by_type: dict[str, int]
    cutoff: datetime
    dry_run: bool


async def clean_up(db: Database, *, days_old: int, include_cancelled: bool, act: Act) -> CleanUp:
    """Delete completed jobs that finished at least `days_old` days ago, and cancelled ones if asked. Failed and pinned jobs stay.

    Works in batches, each committed on its own and with its own row in the audit log: what was deleted stays so, whatever happens next, but
    for the last batches before a crash of the database.
    It may take minutes, on a connection of its own, and ends with its task.

    Raises:
        CleanUpInProgress: another one is running.
    """
    async with alone(db) as session:
        cutoff, cutoffs = await _cutoffs(db, days_old, include_cancelled)
        details = {"cutoff": cutoff, "statuses": [one.status for one in cutoffs]}
        by_type = await sweep(session, cutoffs, details=details, act=act)
    return CleanUp(deleted=sum(by_type.values()), by_type=by_type, cutoff=cutoff, dry_run=False)


async def rehearse(db: Database, *, days_old: int, include_cancelled: bool) -> CleanUp:
    """Count what `clean_up` would delete, in slices, so that no statement reads for long."""
    cutoff, cutoffs = await _cutoffs(db, days_old, include_cancelled)
    by_type: dict[str, int] = {}
    place: Place | None = retention.START
    while place:
        batch = await retention.count_jobs_to_clean_up(db, cutoffs, after=place)
        _add(by_type, batch.deleted)
        place = batch.last
    return CleanUp(deleted=sum(by_type.values()), by_type=by_type, cutoff=cutoff, dry_run=True)


async def preview(db: Database, *, days_old: int, include_cancelled: bool) -> tuple[CleanUp, bool]:
    """What `rehearse` counts, and True. Where that would take long, what the rollups say, and False: pinned jobs are among these, and what
    finished in the last minute, hour or day before the cutoff is not.
    """
    cutoff, _ = await _cutoffs(db, days_old, include_cancelled)
    finest = next(resolution for days, resolution in _KEPT if days_old < days)
    kept = await reports.count_kept_before(db, begin_of(cutoff, LENGTHS[finest]))
    if sum(one.completed + one.failed + one.cancelled for one in kept) <= _MAX_LOOKED_AT:
        return await rehearse(db, days_old=days_old, include_cancelled=include_cancelled), True
    counts = {one.job_type: one.completed + (one.cancelled if include_cancelled else 0) for one in kept}
    by_type = {job_type: jobs for job_type, jobs in counts.items() if jobs > 0}
    return CleanUp(deleted=sum(by_type.values()), by_type=by_type, cutoff=cutoff, dry_run=True), False


async def _cutoffs(db: Database, days_old: int, include_cancelled: bool) -> tuple[datetime, list[Cutoff]]:
    cutoff = await jobs.database_now(db) - timedelta(days=days_old)
    statuses = [JobStatus.COMPLETED, *([JobStatus.CANCELLED] if include_cancelled else [])]
    return cutoff, [Cutoff(status=status, before=cutoff) for status in statuses]


@asynccontextmanager
async def alone(db: Database) -> AsyncIterator[Session]:
    """A connection of its own, and the lock that lets one clean-up run at a time, until the block ends.

    A batch that a crash undoes is found again by the next run, so only the end of the block waits for the disk.

    Raises:
        CleanUpInProgress: somebody else has the lock.
    """
    async with db.own_session() as session:
        if not await retention.try_clean_up_lock(session):
            raise CleanUpInProgress
        try:
            await retention.commit_without_waiting(session)
            yield session
            await retention.commit_with_waiting(session)
        finally:
            with suppress(*AWAY):  # it is dead, its lock with it, and what the block raised says so
                await retention.clean_up_unlock(session)


async def sweep(session: Session, cutoffs: Sequence[Cutoff], *, details: dict[str, Any], act: Act) -> dict[str, int]:
    """Delete all that is old, batch by batch with pauses between; how many jobs by type. What is being changed is met again at the end."""
    deleted: dict[str, int] = {}
    start: Place | None = retention.START
    for looks_left in reversed(range(_MORE_LOOKS + 1)):
        place, start = start, None
        while place:
            batch = await unhurried(partial(retention.clean_up_jobs, session, cutoffs, after=place, details=details, act=act))
            _add(deleted, batch.deleted)
            if batch.passed_over:
                start = start or place
            place = batch.last
        if not start:
            break
        if looks_left:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return deleted


async def unhurried(act: Callable[[], Awaitable[T]]) -> T:
    """What it returns, after a pause that leaves the server to others for longer than it took."""
    began_at = time.monotonic()
    done = await act()
    await asyncio.sleep(_PAUSE_PER_WORK * (time.monotonic() - began_at))
    return done


def _add(total: dict[str, int], counts: dict[str, int]) -> None:
    for job_type, count in counts.items():
        total[job_type] = total.get(job_type, 0) + count
