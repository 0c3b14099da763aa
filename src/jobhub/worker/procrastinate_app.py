"""Procrastinate put together for our purpose. The one place that lists what of it is private and overridden:

- `Worker._fetch_and_process_jobs`: one claim for all free slots, one task per job, and none of the log records, semaphore and tasks
  around each job that cost five times as much as all else (docs/decisions/0010). It goes on until the end, waiting included.
- `Worker._shutdown`: ours waits for outcomes to be recorded, and on time-out tells jobs to stop and releases them; Procrastinate's
  would end them as aborted. `Worker.stop` wakes the loop besides.
- `Worker._new_job_event`, `Worker._stop_event`: the first is set from outside, because our listener heals by itself, and by `end`.

tests/contract/test_procrastinate_private.py fails when these, or the methods of the manager, change upstream.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, NoReturn

from procrastinate import App
from procrastinate import utils as procrastinate_utils
from procrastinate.connector import BaseAsyncConnector
from procrastinate.worker import Worker

from jobhub.worker.manager import DispatchManager
from jobhub.worker.running import RunningJob, StopReason

POLL_SECONDS = 1.0  # how late a job starts whose notification was lost


class NoConnector(BaseAsyncConnector):
    """Procrastinate never talks to the database by itself here; if a new version tries to, it finds out at once."""

    async def execute_query_async(self, query: str, **arguments: Any) -> NoReturn:
        raise NotImplementedError(query)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> NoReturn:
        raise NotImplementedError(query)

    async def execute_query_all_async(self, query: str, **arguments: Any) -> NoReturn:
        raise NotImplementedError(query)

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> NoReturn:
        raise NotImplementedError


class DispatchWorker(Worker):
    """Procrastinate's worker over a DispatchManager. Its own names for it: `dispatch` and `end`."""

    def __init__(
        self,
        app: App,
        manager: DispatchManager,
        run: Callable[[RunningJob], Coroutine[Any, Any, None]],
        *,
        queues: list[str],
        concurrency: int,
        grace_seconds: float,
    ) -> None:
        super().__init__(
            app,
            queues=queues,
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=grace_seconds,
            listen_notify=False,
            install_signal_handlers=False,
        )
        self._manager = manager
        self._run = run
        self._grace_seconds = grace_seconds
        self._poll_seconds = POLL_SECONDS
        manager.on_free_slot = self.wake
        # Whoever drops a running task's last reference may lose it, and a handler that was given up still runs.
        self._attempts: set[asyncio.Task[None]] = set()

    async def dispatch(self) -> None:
        """Claim and run jobs until `end` is called and everything that ran has ended or was released."""
        await super().run()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Claim nothing more."""
        self.stop()

    def stop(self) -> None:
        super().stop()  # type: ignore[no-untyped-call]
        self.wake()

    def wake(self) -> None:
        """Look for jobs now."""
        self._new_job_event.set()

    async def _fetch_and_process_jobs(self) -> None:
        while not self._stop_event.is_set():
            # Cleared before the look: what is announced during it makes another one.
            self._new_job_event.clear()
            if not self._manager.has_free_slot:
                await self._look_again()
                continue
            claimed = await self._manager.claim()
            if self._stop_event.is_set():
                self._manager.release(claimed)
            elif claimed:
                self._start(claimed)
            else:
                await self._look_again()

    async def _look_again(self) -> None:
        """Return when something may have changed, or after a while. A timer and no task: a lone job waits for this."""
        poll = asyncio.get_running_loop().call_later(self._poll_seconds, self._new_job_event.set)
        await self._new_job_event.wait()
        poll.cancel()

    def _start(self, claimed: list[RunningJob]) -> None:
        loop = asyncio.get_running_loop()
        for running in claimed:
            attempt = loop.create_task(self._run(running))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        await procrastinate_utils.cancel_and_capture_errors(side_tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace_seconds):
                await self._manager.running.none_left()
        for running in self._manager.running:
            running.stop(StopReason.SHUTDOWN)
        await self._manager.running.none_left()


def create_worker(
    connector: NoConnector,
    manager: DispatchManager,
    run: Callable[[RunningJob], Coroutine[Any, Any, None]],
    *,
    queues: list[str],
    concurrency: int,
    grace_seconds: float,
) -> DispatchWorker:
    """A worker that hands each claimed job to `run`."""
    app = App(connector=connector)
    app.job_manager = manager
    return DispatchWorker(app, manager, run, queues=queues, concurrency=concurrency, grace_seconds=grace_seconds)
