"""One worker process put together: lease, listener, dispatcher, and what runs beside them. Not here: that itself (`worker.loops`)."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import structlog
import uuid_utils.compat

from jobhub import __version__
from jobhub.domain.errors import OperatorError
from jobhub.domain.job_types import Registry
from jobhub.services.retention import Policy
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.store.dispatch import WorkerRow
from jobhub.store.notifications import listen
from jobhub.worker import loops
from jobhub.worker.forks import end_copies
from jobhub.worker.lease import Lease
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import DispatchWorker, NoConnector, create_worker
from jobhub.worker.run_job import run_job
from jobhub.worker.running import StopReason
from jobhub.worker.watchdog import LoopWatchdog

POOL_SIZE = 5  # claims, outcomes, progress and the loops take turns
# How long a claim or an outcome may take: a batch of large results on a busy server, and well below the lease.
ANSWER_SECONDS = 5.0
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
            async with _background(options, db, worker, manager, row, registry) as background:
                status = await _run_until_stopped(worker, lease, stop, background)
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


async def _run_until_stopped(worker: DispatchWorker, lease: Lease, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> int:
    running = asyncio.create_task(worker.dispatch(), name="dispatcher")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait({running, stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
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
    work = {
        "listen": listen(options.dsn, channels, on_notification=on_notification, on_connected=on_connected),
        **loops.of_worker(db, manager, registry, worker_id=row.worker_id, reconcile_now=reconcile_now),
        **loops.of_operator(db, options.retention, options.reindex_hour),
    }
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    try:
        with LoopWatchdog(manager.running):
            yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
