"""Procrastinate's JobManager with our statements behind it: the seam between its worker and our tables.

A claim takes as many jobs as there are free slots, in one statement; outcomes are recorded together as they arrive. A slot is free again
when the handler has ended: the next claim doesn't wait until that is recorded. A claimed delivery is gone, so Procrastinate's own
bookkeeping has nothing left to do. Source: procrastinate/manager.py, 3.10; tests/contract pins the methods overridden here.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import structlog
from procrastinate.manager import JobManager

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.job_types import Registry
from jobhub.domain.jobs import AttemptOutcome, ClaimedJob, JobStatus, Outcome
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.store.dispatch import FRONT, Claim, Place
from jobhub.worker.recorder import Recorder
from jobhub.worker.running import RunningJob, RunningJobs, StopReason

# A look at the front of the queue that takes longer walks over dead index entries; the next ones start where it ended, for a while.
SLOW_LOOK_SECONDS = 0.01
SECONDS_BETWEEN_SLOW_LOOKS = 0.2
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
        max_running: int = 0,
    ) -> None:
        super().__init__(connector)
        self.running = RunningJobs()
        # Held while a claim is on its way: until it is back, memory and database differ and nothing can be said of either.
        self.claiming = asyncio.Lock()
        self._db = db
        self._worker_id = worker_id
        self._queues = sorted(queues)
        self._known_types = [job_type.name for job_type in registry]
        self._free_slots = concurrency
        # As many outcomes may wait to be recorded as there are slots: what ran and isn't recorded runs again if we are killed now.
        self._most = 2 * concurrency
        # Called when a slot may have become free after there was none.
        self.on_free_slot: Callable[[], None] = lambda: None
        self._lease_is_held = lease_is_held
        self._recorder = Recorder(db, lease_is_held=lease_is_held)
        self._max_running = max_running
        # Deliveries may be held, and an outcome recorded since we last let some go: who is at the limit may have room now.
        self._may_hold = False
        self._may_have_room = False
        self._after = FRONT
        self._looked_at_front = 0.0

    @property
    def has_free_slot(self) -> bool:
        """Whether a job may be claimed."""
        return self._slots() > 0

    def _slots(self) -> int:
        return min(self._free_slots, self._most - len(self.running))

    async def claim(self) -> list[RunningJob]:
        """Fill the free slots, best first; nothing if nothing is due, or there is no database or no lease. Never raises."""
        while (slots := self._slots()) > 0 and self._lease_is_held():
            async with self.claiming:
                try:
                    if self._may_hold and self._may_have_room:
                        await self.unhold()
                    claim = await self._claim(slots)
                except DatabaseUnavailable as error:
                    _log.warning("claim_failed", cause=repr(error.__cause__))
                    await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - spreads retries
                    return []
                started = [self._start(job) for job in claim.jobs]
            if started:
                return started
            if not claim.taken and self._after == FRONT:
                return []
        return []

    async def _claim(self, slots: int) -> Claim:
        began = time.monotonic()
        if began - self._looked_at_front > SECONDS_BETWEEN_SLOW_LOOKS:
            self._after = FRONT
        after = self._after
        claim = await dispatch.claim_jobs(
            self._db,
            worker_id=self._worker_id,
            queues=self._queues,
            known_types=self._known_types,
            slots=slots,
            after=after,
            max_running=self._max_running,
        )
        self._may_hold = self._may_hold or claim.held > 0
        self._after = self._next_place(claim, after, slots, seconds=time.monotonic() - began)
        if after == FRONT:
            self._looked_at_front = began
        return claim

    async def unhold(self) -> None:
        """Let go what is held of users with room: a batch, or, without a limit, all that another worker has held.

        Under a limit a second batch would be as much again: what was let go takes up no room before it is claimed.
        """
        while True:
            self._may_have_room = False
            let_go, self._may_hold = await dispatch.unhold_deliveries(self._db, max_running=self._max_running)
            if self._max_running or let_go < dispatch.BATCH:
                return

    @staticmethod
    def _next_place(claim: Claim, after: Place, slots: int, *, seconds: float) -> Place:
        """Where the next claim may start to look. From the front, unless that is slow and there was more than we took."""
        if claim.last is None or claim.taken < slots or (after == FRONT and seconds < SLOW_LOOK_SECONDS):
            return FRONT
        return claim.last

    def _start(self, job: ClaimedJob) -> RunningJob:
        self._free_slots -= 1
        running = self.running.add(job)
        running.on_end = self._on_end
        return running

    def _on_end(self, running: RunningJob) -> None:
        """Free the slot and record the outcome; a fenced attempt has none."""
        was_full = not self.has_free_slot
        self._free_slots += 1
        if running.outcome is None:
            self._forget(running)
        else:
            self._recorder.put(running.outcome, lambda: self._forget(running))
        if was_full:
            self.on_free_slot()

    def _forget(self, running: RunningJob) -> None:
        was_full = not self.has_free_slot
        self.running.remove(running)
        self._may_have_room = True
        if was_full or self._may_hold:
            self.on_free_slot()

    def release(self, unstarted: Iterable[RunningJob]) -> None:
        """Give back what was claimed while the worker was told to stop."""
        for running in unstarted:
            running.end(released(running.claimed))

    async def reconcile(self) -> None:
        """Make memory and database agree on what this worker runs. The database is right about whose a job is."""
        async with self.claiming:
            # Memory first: what ends meanwhile is then told to stop in vain, which harms nobody.
            remembered = self.running.by_attempt()
            recorded = {(row.job_id, row.attempt): row for row in await dispatch.list_running_jobs(self._db, self._worker_id)}
        for key, running in remembered.items():
            if running.has_ended:  # its outcome is on its way
                continue
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
