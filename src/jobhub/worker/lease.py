"""Keeping the lease of this worker, from a thread: an event loop that a handler blocks must not look dead.

If it can't be renewed in time, the jobs are told to stop before somebody else takes them. That is watched from the event loop: the
thread may be waiting for a server that doesn't answer.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store.dispatch import WorkerRow
from jobhub.store.lease import LeaseConnection

LEASE_SECONDS = 15.0  # what the statement renew_lease grants
RENEW_SECONDS = 3.0
RETRY_SECONDS = 0.5
WATCH_SECONDS = 0.2
# The thread may be in the middle of an attempt to renew when it is told to end; nobody waits longer for it than this.
JOIN_SECONDS = 5.0
# This long before the lease runs out our jobs are told to stop: they need time to, and clocks don't run alike.
MARGIN_SECONDS = 3.0
_log = structlog.get_logger("jobhub.worker")


class Lease:
    """A thread that renews, a task that watches. `is_held` may be asked from anywhere; `on_lost` is called on the event loop."""

    def __init__(self, dsn: str, worker: WorkerRow, *, on_lost: Callable[[], None]) -> None:
        self._connection = LeaseConnection(dsn)
        self._worker = worker
        self._on_lost = on_lost
        self._held_until = 0.0
        self._stop = threading.Event()
        self._registered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop_asked_at: float | None = None
        self._is_stopping = False
        self._watch: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease", daemon=True)

    def is_held(self) -> bool:
        """Whether our jobs are still safely ours."""
        return time.monotonic() < self._held_until

    async def start(self) -> None:
        """Register the worker; returns once that has worked, however long the database is away."""
        self._thread.start()
        await self._registered.wait()
        self._watch = asyncio.create_task(self._watch_until_stopped(), name="watch lease")

    def announce_stop(self) -> None:
        """Say in the worker's row that it takes no new jobs."""
        self._is_stopping = True

    async def stop(self) -> None:
        """End the thread. The lease itself ends with the worker's row."""
        self._stop.set()
        if self._watch:
            self._watch.cancel()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, JOIN_SECONDS)

    async def _watch_until_stopped(self) -> None:
        was_held = True
        while True:
            is_held = self.is_held()
            if was_held and not is_held:
                self._on_lost()
            was_held = is_held
            await asyncio.sleep(WATCH_SECONDS)

    def _renew_until_stopped(self) -> None:
        while not self._stop.is_set():
            sent = time.monotonic()
            renewed = self._renew()
            if renewed:
                self._held_until = sent + LEASE_SECONDS - MARGIN_SECONDS
                self._call(self._registered.set)
            self._stop.wait(RENEW_SECONDS if renewed else RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the workers
        self._connection.close()

    def _renew(self) -> bool:
        lag = self._measure_loop_lag()
        row = msgspec.structs.replace(self._worker, loop_lag_ms=min(int(lag * 1000), 2**31 - 1), stopping=self._is_stopping)
        try:
            self._connection.renew(row)
        except DatabaseUnavailable as error:
            _log.warning("lease_not_renewed", cause=repr(error.__cause__))
            return False
        except Exception as error:  # without this thread the worker would live on and never take a job again
            _log.error("lease_not_renewed", exc_info=error)
            return False
        return True

    def _measure_loop_lag(self) -> float:
        """Seconds the event loop is behind: how long our oldest unanswered call into it has been waiting, or the last one waited."""
        if self._loop_asked_at is None:
            self._loop_asked_at = time.monotonic()
        asked_at, answered = self._loop_asked_at, threading.Event()

        def answer() -> None:
            self._loop_asked_at = None
            answered.set()

        self._call(answer)
        answered.wait(timeout=0.2)
        return time.monotonic() - asked_at

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: the process is about to end
            self._stop.set()
