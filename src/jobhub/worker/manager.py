"""Procrastinate's JobManager with our statements behind it: the seam between its worker and our tables.

Procrastinate asks for one job at a time and says when each is done; here a claim fetches as many as there are free slots, and what
is done is recorded in batches. A claimed delivery is gone, so Procrastinate's own bookkeeping has nothing left to do.
Source: procrastinate/manager.py, 3.10; tests/contract pins the methods overridden here.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import structlog
from procrastinate import jobs as procrastinate_jobs
from procrastinate.manager import JobManager

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.job_types import Registry
from jobhub.domain.jobs import AttemptOutcome, ClaimedJob, JobStatus, Outcome
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker.recorder import Recorder
from jobhub.worker.running import RunningJobs, StopReason

TASK_NAME = "jobhub.run"  # what deliver_job() in sql/migrations puts into each delivery
_log = structlog.get_logger("jobhub.worker")


class DispatchManager(JobManager):
    """Claims jobs for one worker process and records their outcomes."""

    def __init__(
        self,
        connector: Any,
        db: Database,
        *,
        worker_id: UUID,
        queues: Iterable[str],
        registry: Registry,
        concurrency: int,
        lease_is_held: Callable[[], bool],
    ) -> None:
        super().__init__(connector)
        self.running = RunningJobs()
        # Held while a claim is on its way: until it is back, memory and database differ and nothing can be said of either.
        self.claiming = asyncio.Lock()
        self._db = db
        self._worker_id = worker_id
        self._queues = sorted(queues)
        self._known_types = [job_type.name for job_type in registry]
        self._concurrency = concurrency
        self._lease_is_held = lease_is_held
        self._recorder = Recorder(db, lease_is_held=lease_is_held)
        self._claimed: deque[int] = deque()
        self._hints = 0

    def hint(self) -> None:
        """Something may have become due: a claim that is on its way may have missed it and is repeated."""
        self._hints += 1

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> procrastinate_jobs.Job | None:
        """The next job to run, None if there is none. Never raises: without a database there is simply nothing to do."""
        while not self._claimed:
            seen = self._hints
            if not await self._claim() and seen == self._hints:
                return None
        return self._job(self._claimed.popleft())

    async def _claim(self) -> bool:
        """Fill the free slots; whether it is worth asking again at once."""
        if not self._lease_is_held():
            return False
        async with self.claiming:
            try:
                claimed, taken = await dispatch.claim_jobs(
                    self._db,
                    worker_id=self._worker_id,
                    queues=self._queues,
                    known_types=self._known_types,
                    slots=self._concurrency - len(self.running),
                )
            except DatabaseUnavailable as error:
                _log.warning("claim_failed", cause=repr(error.__cause__))
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - spreads retries
                return False
            self._claimed.extend(self.running.add(job) for job in claimed)
        return taken > 0

    def _job(self, number: int) -> procrastinate_jobs.Job:
        return procrastinate_jobs.Job(
            id=number, queue=self._queues[0], lock=None, queueing_lock=None, task_name=TASK_NAME, task_kwargs={}, status="doing"
        )

    async def finish_job(self, job: procrastinate_jobs.Job, status: procrastinate_jobs.Status, delete_job: bool) -> None:
        """Record the outcome that run_job left with the attempt; a fenced one left none."""
        assert job.id is not None
        outcome = self.running[job.id].outcome
        if outcome is not None:
            await self._recorder.record(outcome)
        self.running.pop(job.id)

    async def release_unstarted(self) -> None:
        """Give back what was claimed and not handed out when the worker was told to stop; the last claim is waited for."""
        async with self.claiming:
            unstarted, self._claimed = self._claimed, deque()
        await asyncio.gather(*(self._recorder.record(released(self.running[number].claimed)) for number in unstarted))
        for number in unstarted:
            self.running.pop(number)

    async def reconcile(self) -> None:
        """Make memory and database agree on what this worker runs. The database is right about whose a job is."""
        async with self.claiming:
            # Memory first: what ends meanwhile is then told to stop in vain, which harms nobody.
            remembered = self.running.by_attempt()
            recorded = {(row.job_id, row.attempt): row for row in await dispatch.list_running_jobs(self._db, self._worker_id)}
        for key, running in remembered.items():
            if key not in recorded:
                running.stop(StopReason.FENCED)
            elif recorded[key].cancel_requested:
                running.stop(StopReason.CANCELLED)
        for job_id, attempt in recorded.keys() - remembered.keys():
            # A claim whose answer was lost, or an attempt given up while the lease was over.
            _log.warning("unknown_job_released", job_id=str(job_id), attempt=attempt)
            await self._recorder.record(Outcome(job_id=job_id, attempt=attempt, outcome=AttemptOutcome.RELEASED, status=JobStatus.PENDING))

    async def register_worker(self) -> int:
        """Workers are rows of our own table, kept by `worker.lease`."""
        return 0

    async def unregister_worker(self, worker_id: int) -> None:
        """See register_worker."""

    async def update_heartbeat(self, worker_id: int) -> None:
        """See register_worker."""

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Lost workers are the rescue loop's business."""
        return []

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> list[int]:
        """Cancels arrive by `reconcile`."""
        return []


def released(claimed: ClaimedJob) -> Outcome:
    """The outcome of an attempt that this worker gives back."""
    return Outcome(job_id=claimed.id, attempt=claimed.attempt, outcome=AttemptOutcome.RELEASED, status=JobStatus.PENDING)
