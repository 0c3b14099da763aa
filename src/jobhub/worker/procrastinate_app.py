"""Procrastinate put together for our purpose. The one place that lists what of it is private and overridden:

- `Worker._abort_running_jobs`: on shutdown its CancelledError would end jobs as aborted; ours are told to stop and released.
- `Worker._new_job_event`: set from outside, because our listener heals by itself and Procrastinate's does not.

tests/contract/test_procrastinate_private.py fails when these, or the methods of the manager, change upstream.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

from procrastinate import App
from procrastinate.connector import BaseAsyncConnector
from procrastinate.job_context import JobContext
from procrastinate.worker import Worker

from jobhub.worker.manager import TASK_NAME, DispatchManager
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

    def __init__(self, app: App, manager: DispatchManager, *, queues: list[str], concurrency: int, grace_seconds: float) -> None:
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

    async def dispatch(self) -> None:
        """Claim and run jobs until `end` is called and everything that ran has ended or was released."""
        await super().run()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Claim nothing more."""
        super().stop()  # type: ignore[no-untyped-call]

    def wake(self) -> None:
        """Look for jobs now."""
        self._manager.hint()
        self._new_job_event.set()

    async def _abort_running_jobs(self) -> None:
        for running in self._manager.running:
            running.stop(StopReason.SHUTDOWN)
        await asyncio.gather(*self._running_jobs, return_exceptions=True)


def create_worker(
    connector: NoConnector,
    manager: DispatchManager,
    run: Callable[[RunningJob], Awaitable[None]],
    *,
    queues: list[str],
    concurrency: int,
    grace_seconds: float,
) -> DispatchWorker:
    """A worker that hands each claimed job to `run`."""
    app = App(connector=connector)
    app.job_manager = manager

    @app.task(name=TASK_NAME, pass_context=True)
    async def deliver(context: JobContext) -> None:
        assert context.job.id is not None
        await run(manager.running[context.job.id])

    return DispatchWorker(app, manager, queues=queues, concurrency=concurrency, grace_seconds=grace_seconds)
