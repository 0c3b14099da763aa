"""What a handler is given about the job it runs: the interface, and its synchronous twin for process handlers.

Not here: what happens to a progress report (`worker.progress`) or how a handler is stopped (`worker.run_job`).
"""

from typing import Any, Protocol
from uuid import UUID


class JobContext(Protocol):
    """Given to `async def` handlers. `attempt` counts from 1; `log` is a logger bound to the job."""

    job_id: UUID
    owner_id: UUID
    attempt: int
    log: Any

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for this job to be cancelled. The handler also gets `asyncio.CancelledError`."""

    async def progress(self, percentage: float, message: str | None = None) -> None:
        """Report how far the job is, 0 to 100. Throttled to one write a second, never goes backwards, never raises."""


class ProcessJobContext(Protocol):
    """Given to plain `def` handlers, which run in a process of their own. As `JobContext`, but synchronous."""

    job_id: UUID
    owner_id: UUID
    attempt: int
    log: Any

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for this job to be cancelled. The process is killed soon after."""

    def progress(self, percentage: float, message: str | None = None) -> None:
        """Report how far the job is, 0 to 100. Throttled to one write a second, never goes backwards, never raises."""
