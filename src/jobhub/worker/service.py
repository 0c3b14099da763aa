"""One worker process put together: lease, listener, dispatcher, and the loops every worker runs.

There is no leader: promotion and rescue are safe to run anywhere at once (SKIP LOCKED), so each worker runs them.
"""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec
import structlog
import uuid_utils.compat

from jobhub import __version__
from jobhub.domain.errors import DatabaseUnavailable, OperatorError
from jobhub.domain.job_types import Registry
from jobhub.domain.spans import PASSING
from jobhub.services.reindexing import reindex_daily
from jobhub.services.retention import Policy, apply_policy
from jobhub.store import dispatch, guessing, jobs, rollups, sessions, tickets, users
from jobhub.store.database import Database
from jobhub.store.dispatch import WorkerRow
from jobhub.store.notifications import listen
from jobhub.worker.forks import end_copies
from jobhub.worker.lease import Lease
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import DispatchWorker, NoConnector, create_worker
from jobhub.worker.repair import Repair
from jobhub.worker.run_job import run_job
from jobhub.worker.running import StopReason
from jobhub.worker.watchdog import LoopWatchdog

POOL_SIZE = 5  # claims, outcomes, progress and the loops take turns
# How long a claim or an outcome may take: a batch of large results on a busy server, and well below the lease.
ANSWER_SECONDS = 5.0
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
QUEUE_CHANNEL = "procrastinate_queue_v1#"  # Procrastinate's, per queue; ours is the other one
STOP_CHANNEL = "jobhub_stop"  # payload: the worker that should look which of its jobs to stop

_log = structlog.get_logger("jobhub.worker")


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker process runs. No `queues` means all queues of the job types it knows."""

    dsn: str
    concurrency: int
    queues: tuple[str, ...] = ()
    grace_seconds: float = 10.0
    max_running_jobs: int = 0  # of one user, over all workers; 0 is no limit
    retention: Policy = Policy()
    reindex_hour: int = -1  # UTC; below 0 never


async def run_worker(options: WorkerOptions, registry: Registry) -> int:
    """Run until SIGTERM or SIGINT, then let jobs finish or release them. The exit status: 0, or 70 if it ended unasked.

    A database that is away stops nothing, at the start or later. Raises OperatorError: it would never get a job.
    """
    stop = _stop_signals()
    end_copies(asyncio.get_running_loop())
    row = _worker_row(options, registry)
    log = _log.bind(worker_id=str(row.worker_id))
    async with Database.open(
        options.dsn,
        max_size=POOL_SIZE,
        application_name="jobhub worker",
        answer_seconds=ANSWER_SECONDS,
        settings=dispatch.PLANNER_SETTINGS,
    ) as db:
        lease = Lease(options.dsn, row, on_lost=lambda: _stop_all(manager))
        manager = DispatchManager(
            NoConnector(),
            db,
            worker_id=row.worker_id,
            queues=row.queues,
            registry=registry,
            concurrency=options.concurrency,
            lease_is_held=lease.is_held,
            max_running=options.max_running_jobs,
        )
        worker = create_worker(
            NoConnector(),
            manager,
            partial(run_job, registry=registry, db=db),
            queues=row.queues,
            concurrency=options.concurrency,
            grace_seconds=options.grace_seconds,
        )
        if await _first(lease.start(), stop.wait()):
            log.info("worker_started", queues=row.queues, concurrency=options.concurrency)
            if unknown := options.retention.job_types - {job_type.name for job_type in registry}:
                log.warning("retention_of_unknown_types", job_types=sorted(unknown))
            async with _background(options, db, worker, manager, row, registry) as loops:
                status = await _run_until_stopped(worker, lease, stop, loops)
        else:
            status = 0
        await lease.stop()
        await _remove_worker(db, row)
        log.info("worker_stopped", status=status)
    return status


async def _remove_worker(db: Database, row: WorkerRow) -> None:
    """Take the worker off the list, so that what it left is rescued at once; if that fails, its lease ends by itself."""
    try:
        await dispatch.remove_worker(db, row.worker_id)
    except Exception as error:
        _log.warning("worker_not_removed", cause=repr(error))


async def _run_until_stopped(worker: DispatchWorker, lease: Lease, stop: asyncio.Event, loops: list[asyncio.Task[None]]) -> int:
    running = asyncio.create_task(worker.dispatch(), name="dispatcher")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait({running, stopping, *loops}, return_when=asyncio.FIRST_COMPLETED)
    if stopping not in ended:
        # None of them ends by itself. A worker that limps on without one would hold a valid lease and not do its work.
        stopping.cancel()
        for task in ended:
            _log.error("worker_broke", ended=task.get_name(), exc_info=None if task.cancelled() else task.exception())
        return 70
    lease.announce_stop()
    worker.end()
    await running
    return 0


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _first(one: Awaitable[object], other: Awaitable[object]) -> bool:
    """Wait for whichever ends first and cancel the other; whether it was `one`. Raises what that raised."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    ended, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()
    for task in ended:
        task.result()
    return tasks[0] in ended


def _stop_all(manager: DispatchManager) -> None:
    _log.error("lease_lost", jobs=len(manager.running))
    for running in manager.running:
        running.stop(StopReason.FENCED)


def _worker_row(options: WorkerOptions, registry: Registry) -> WorkerRow:
    return WorkerRow(
        worker_id=uuid_utils.compat.uuid7(),
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        queues=_queues(options, registry),
        concurrency=options.concurrency,
        loop_lag_ms=0,
        stopping=False,
    )


def _queues(options: WorkerOptions, registry: Registry) -> list[str]:
    """The queues to take jobs from. A name nobody knows is most likely misspelt; it is refused only if nothing else is left to do."""
    unknown = sorted(set(options.queues) - registry.queues)
    if unknown and set(options.queues) <= set(unknown):
        known = ", ".join(sorted(registry.queues))
        raise OperatorError(f"No job type of this worker is in a queue called {', '.join(unknown)}: JOBHUB_QUEUES can name {known}.")
    if unknown:
        _log.warning("unknown_queues", queues=unknown, known=sorted(registry.queues))
    return sorted(options.queues or registry.queues)


@asynccontextmanager
async def _background(
    options: WorkerOptions, db: Database, worker: DispatchWorker, manager: DispatchManager, row: WorkerRow, registry: Registry
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Everything that runs beside the dispatcher, until the block ends."""
    reconcile_now = asyncio.Event()

    def on_notification(channel: str, payload: str) -> None:
        if channel != STOP_CHANNEL:
            worker.wake()
        elif payload == str(row.worker_id):
            reconcile_now.set()

    def on_connected() -> None:
        worker.wake()
        reconcile_now.set()

    channels = [*(QUEUE_CHANNEL + queue for queue in row.queues), STOP_CHANNEL]
    publish_now = asyncio.Event()
    publish_now.set()
    repair = Repair(db)
    work = {
        "listen": listen(options.dsn, channels, on_notification=on_notification, on_connected=on_connected),
        "promote": _every(PROMOTE_SECONDS, "promote", lambda: _promote(db, manager)),
        "rescue": _every(RESCUE_SECONDS, "rescue", lambda: _rescue(db)),
        "reconcile": _every(RECONCILE_SECONDS, "reconcile", manager.reconcile, at_once=reconcile_now),
        "forget": _every(FORGET_SECONDS, "forget", lambda: _in_batches(partial(dispatch.forget_claims, worker_id=row.worker_id), db)),
        "fold": _every(FOLD_SECONDS, "fold", lambda: _fold(db)),
        "repair": _every(REPAIR_SECONDS, "repair", repair.look),
        "publish": _every(HOUSEKEEPING_SECONDS, "publish", lambda: dispatch.publish_job_types(db, registry), at_once=publish_now),
        "housekeeping": _every(HOUSEKEEPING_SECONDS, "housekeeping", lambda: _keep_house(db)),
    }
    if options.retention:
        at_start = asyncio.Event()
        at_start.set()
        act = partial(_apply_retention, db, options.retention)
        work["retention"] = _every(RETENTION_SECONDS, "retention", act, at_once=at_start)
    if options.reindex_hour >= 0:
        work["reindex"] = _every(REINDEX_SECONDS, "reindex", lambda: _reindex(db, options.reindex_hour))
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    try:
        with LoopWatchdog(manager.running):
            yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _every(seconds: float, loop: str, act: Callable[[], Awaitable[object]], *, at_once: asyncio.Event | None = None) -> None:
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
