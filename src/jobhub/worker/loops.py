"""What a worker does again and again beside its jobs, and how often. Not here: claiming and running them, the lease (`worker.service`).

There is no leader: promotion and rescue are safe to run anywhere at once (SKIP LOCKED), so each worker runs them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.job_types import Registry
from jobhub.domain.spans import PASSING
from jobhub.services.reindexing import reindex_daily
from jobhub.services.retention import Policy, apply_policy
from jobhub.store import dispatch, guessing, jobs, rollups, sessions, tickets, users
from jobhub.store.database import Database
from jobhub.worker.manager import DispatchManager
from jobhub.worker.repair import Repair

PROMOTE_SECONDS = 0.5
RESCUE_SECONDS = 3.0
RECONCILE_SECONDS = 3.0
FORGET_SECONDS = 1.0  # who counts running jobs looks at every job of every claim
REPAIR_SECONDS = 10.0
# What waits to be folded is read along with the rollups: the oftener it is folded, the less there is, and the more that costs. So however
# many workers look, none folds before the oldest change is so old: a little less than the shortest pause between two looks of one of them.
FOLD_SECONDS = 2.0
FOLD_AFTER_SECONDS = 1.5
HOUSEKEEPING_SECONDS = 600.0
RETENTION_SECONDS = 60.0  # how often each worker looks whether the hour is over
REINDEX_SECONDS = 300.0  # how often each worker looks whether it is the hour

_log = structlog.get_logger("jobhub.worker")

Loops = dict[str, Coroutine[Any, Any, None]]


def of_worker(db: Database, manager: DispatchManager, registry: Registry, *, worker_id: UUID, reconcile_now: asyncio.Event) -> Loops:
    """Those that every worker runs, by name."""
    forget = partial(dispatch.forget_claims, worker_id=worker_id)
    return {
        "promote": every(PROMOTE_SECONDS, "promote", lambda: _promote(db, manager)),
        "rescue": every(RESCUE_SECONDS, "rescue", lambda: _rescue(db)),
        "reconcile": every(RECONCILE_SECONDS, "reconcile", manager.reconcile, at_once=reconcile_now),
        "forget": every(FORGET_SECONDS, "forget", lambda: _in_batches(forget, db)),
        "fold": every(FOLD_SECONDS, "fold", lambda: _fold(db)),
        "repair": every(REPAIR_SECONDS, "repair", Repair(db).look),
        "publish": every(HOUSEKEEPING_SECONDS, "publish", lambda: dispatch.publish_job_types(db, registry), at_once=_now()),
        "housekeeping": every(HOUSEKEEPING_SECONDS, "housekeeping", lambda: _keep_house(db)),
    }


def of_operator(db: Database, retention: Policy, reindex_hour: int) -> Loops:
    """Those that the settings ask for, by name."""
    asked: Loops = {}
    if retention:
        asked["retention"] = every(RETENTION_SECONDS, "retention", lambda: _apply_retention(db, retention), at_once=_now())
    if reindex_hour >= 0:
        asked["reindex"] = every(REINDEX_SECONDS, "reindex", lambda: _reindex(db, reindex_hour))
    return asked


def _now() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def every(seconds: float, loop: str, act: Callable[[], Awaitable[object]], *, at_once: asyncio.Event | None = None) -> None:
    """Do it for ever, with some jitter between; a failure is logged and the next turn tries again."""
    at_once = at_once or asyncio.Event()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads the workers
                await at_once.wait()
        at_once.clear()
        try:
            await act()
        except DatabaseUnavailable as error:
            _log.warning("loop_waits_for_database", loop=loop, cause=repr(error.__cause__))
        except Exception as error:
            _log.error("loop_failed", loop=loop, exc_info=error)


async def _promote(db: Database, manager: DispatchManager) -> None:
    await _in_batches(dispatch.promote_jobs, db)
    await manager.unhold()


async def _fold(db: Database) -> None:
    if await rollups.fold_is_due(db, seconds=FOLD_AFTER_SECONDS):
        await _in_batches(rollups.fold_job_stats, db)


async def _in_batches(act: Callable[[Database], Awaitable[int]], db: Database) -> None:
    while await act(db) >= dispatch.BATCH:
        pass


async def _rescue(db: Database) -> None:
    while rescued := await dispatch.rescue_jobs(db):
        for row in rescued:
            _log.warning("job_rescued", job_id=str(row.job_id), attempt=row.attempt, status=row.status)
        if len(rescued) < dispatch.BATCH:
            return


async def _apply_retention(db: Database, policy: Policy) -> None:
    if removed := await apply_policy(db, policy):
        _log.info("retention_applied", **msgspec.structs.asdict(removed))


async def _reindex(db: Database, hour: int) -> None:
    reindexed = await reindex_daily(db, hour=hour)
    if reindexed and reindexed.done:
        _log.info("indexes_made_anew", indexes=reindexed.done)
    if reindexed and reindexed.given_up:
        _log.warning("indexes_not_made_anew", indexes=reindexed.given_up, advice="see `jobhub doctor`")


async def _keep_house(db: Database) -> None:
    await _in_batches(dispatch.remove_dead_workers, db)
    await _in_batches(users.remove_expired_tokens, db)
    await _in_batches(tickets.remove_expired_tickets, db)
    await _in_batches(sessions.remove_expired_sessions, db)
    await _in_batches(guessing.remove_old_login_failures, db)
    await _in_batches(guessing.remove_old_account_failures, db)
    await _in_batches(guessing.remove_old_network_failures, db)
    await _in_batches(jobs.remove_expired_idempotency_keys, db)
    for resolution in PASSING:
        await _in_batches(partial(rollups.remove_old_job_stats, resolution=resolution), db)
