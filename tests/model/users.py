"""The verbs of users and administrators: submit, cancel, retry, force_complete, clean_up, and disabling an account."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Verb
from jobhub.store import jobs as store
from jobhub.store import retention
from tests.model.operations import Operation, qualifies, withdraw
from tests.model.session import Session
from tests.model.state import KEY_SECONDS, Attempt, Job, Key, Model, Seen

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
OWNERS = (UUID(int=0xA), UUID(int=0xB))
ACT = store.Act(actor_id=None)
SOMEBODY = store.Act(actor_id=UUID(int=0xAD))


@dataclass(frozen=True)
class Submit(Operation):
    """Submit a job for now, or for so many seconds later, perhaps with a key."""

    number: int
    owner_id: UUID
    job_type: str
    queue: str
    priority: int
    later_seconds: int = 0
    key: str | None = None
    VERBS: ClassVar = frozenset({Verb.SUBMIT})

    @property
    def job_id(self) -> UUID:
        return UUID(int=0x100 + self.number)

    async def run(self, session: Session) -> JobStatus | None:
        now = await store.database_now(session)
        new = store.NewJob(
            id=self.job_id,
            owner_id=self.owner_id,
            job_type=self.job_type,
            queue=self.queue,
            title="a job",
            description=None,
            parameters={},
            tags=[],
            priority=self.priority,
            max_attempts=3,
            scheduled_for=now + timedelta(seconds=self.later_seconds) if self.later_seconds else None,
        )
        key = store.IdempotencyKey(key=self.key, body_sha256=bytes(32)) if self.key else None
        return _status(await store.submit_job(session, new, key))

    def apply(self, model: Model, seen: Seen) -> JobStatus | None:
        model.next_number = max(model.next_number, self.number + 1)
        if self.key:
            known = model.keys.get((self.owner_id, self.key))
            if known and known.expires_at > model.now:
                return None
            model.keys[self.owner_id, self.key] = Key(self.job_id, model.now + KEY_SECONDS)
        later = model.now + self.later_seconds if self.later_seconds else None
        times = {"created_at": model.now, "updated_at": model.now, "due_at": later or model.now}
        waits = {"scheduled_for": later, "deliver_at": later}
        job = Job(self.owner_id, self.job_type, self.queue, self.priority, 3, **times, **waits)
        model.jobs[self.job_id] = job
        job.delivery = None if later else model.deliver(self.job_id)
        return PENDING

    def verbs_on(self, job_id: UUID) -> frozenset[Verb]:
        return self.VERBS if job_id == self.job_id else frozenset()


@dataclass(frozen=True)
class OfOneJob(Operation):
    """A verb on one job."""

    job_id: UUID

    def verbs_on(self, job_id: UUID) -> frozenset[Verb]:
        return self.VERBS if job_id == self.job_id else frozenset()


@dataclass(frozen=True)
class Cancel(OfOneJob):
    """Cancel a job as one of the owners."""

    owner_id: UUID
    VERBS: ClassVar = frozenset({Verb.CANCEL})

    async def run(self, session: Session) -> JobStatus | None:
        return _status(await store.cancel_job(session, self.job_id, owner_id=self.owner_id, act=ACT))

    def apply(self, model: Model, seen: Seen) -> JobStatus | None:
        if not qualifies(model, seen, self.job_id, self._may):
            return None
        job = model.jobs[self.job_id]
        if job.status is RUNNING:
            model.change(self.job_id, cancel_requested_at=model.now)
            return RUNNING
        withdraw(model, seen, self.job_id)
        _cancel_pending(model, self.job_id)
        return CANCELLED

    def _may(self, job: Job) -> bool:
        return job.owner_id == self.owner_id and (job.status is PENDING or (job.status is RUNNING and job.cancel_requested_at is None))


@dataclass(frozen=True)
class DisableOwner(Operation):
    """Cancel whatever of an owner is pending."""

    owner_id: UUID
    VERBS: ClassVar = frozenset({Verb.CANCEL})

    async def run(self, session: Session) -> int:
        return await store.cancel_pending_jobs_of_user(session, self.owner_id, act=ACT)

    def apply(self, model: Model, seen: Seen) -> int:
        pending = [job_id for job_id in model.jobs if qualifies(model, seen, job_id, self._may)]
        for job_id in pending:
            withdraw(model, seen, job_id)
            _cancel_pending(model, job_id)
        return len(pending)

    def _may(self, job: Job) -> bool:
        return job.owner_id == self.owner_id and job.status is PENDING


@dataclass(frozen=True)
class Retry(OfOneJob):
    """Put a failed or cancelled job back in the queue."""

    VERBS: ClassVar = frozenset({Verb.RETRY})

    async def run(self, session: Session) -> JobStatus | None:
        return _status(await store.retry_job(session, self.job_id, owner_id=None, act=ACT))

    def apply(self, model: Model, seen: Seen) -> JobStatus | None:
        if not qualifies(model, seen, self.job_id, lambda job: job.status in {FAILED, CANCELLED}):
            return None
        cleared = dict.fromkeys(
            ("progress_message", "result", "error_code", "scheduled_for", "started_at", "completed_at", "cancel_requested_at")
        )
        counts = {"progress_percentage": 0, "failed_attempts": 0, "lost_attempts": 0}
        delivery = model.deliver(self.job_id)
        model.change(self.job_id, status=PENDING, due_at=model.now, delivery=delivery, **cleared, **counts)
        return PENDING


@dataclass(frozen=True)
class ForceComplete(OfOneJob):
    """Complete a job by hand."""

    VERBS: ClassVar = frozenset({Verb.FORCE_COMPLETE})

    async def run(self, session: Session) -> JobStatus | None:
        return _status(await store.force_complete_job(session, self.job_id, result={"by": "hand"}, act=ACT))

    def apply(self, model: Model, seen: Seen) -> JobStatus | None:
        if not qualifies(model, seen, self.job_id, lambda job: job.status is not COMPLETED):
            return None
        job = model.jobs[self.job_id]
        withdraw(model, seen, self.job_id)
        ended = (Attempt(job.attempt, job.worker_id, AttemptOutcome.SUPERSEDED),) if job.status is RUNNING else ()
        columns = {"progress_percentage": 100, "result": {"by": "hand"}, "error_code": None, "deliver_at": None, "delivery": None}
        model.change(self.job_id, status=COMPLETED, completed_at=model.now, attempts=job.attempts + ended, **columns)
        return COMPLETED


@dataclass(frozen=True)
class Pin(OfOneJob):
    """Keep a job from every clean-up."""

    async def run(self, session: Session) -> bool:
        return await store.pin_job(session, self.job_id, act=ACT) is not None

    def apply(self, model: Model, seen: Seen) -> bool:
        if not qualifies(model, seen, self.job_id, lambda job: job.pinned_at is None):
            return False
        model.change(self.job_id, pinned_at=model.now)
        return True


@dataclass(frozen=True)
class CleanUp(Operation):
    """Delete what finished a day ago or earlier, asking for failed jobs too, which must not go."""

    VERBS: ClassVar = frozenset({Verb.CLEAN_UP})
    DAY: ClassVar = 24 * 3600

    async def run(self, session: Session) -> dict[str, int]:
        cutoff = await store.database_now(session) - timedelta(seconds=self.DAY)
        cutoffs = [retention.Cutoff(status=status, before=cutoff) for status in JobStatus]
        batch = await retention.clean_up_jobs(session, cutoffs, after=retention.START, details={}, act=SOMEBODY)
        return batch.deleted

    def apply(self, model: Model, seen: Seen) -> dict[str, int]:
        old = [
            job_id
            for job_id in model.jobs
            if job_id not in seen.held_jobs and qualifies(model, seen, job_id, lambda job: self._may(job, model.now))
        ]
        return dict(Counter(model.jobs.pop(job_id).job_type for job_id in old))

    def _may(self, job: Job, now: int) -> bool:
        return job.status in {COMPLETED, CANCELLED} and job.completed_at + self.DAY <= now and job.pinned_at is None


def _cancel_pending(model: Model, job_id: UUID) -> None:
    times = {"completed_at": model.now, "cancel_requested_at": model.now}
    model.change(job_id, status=CANCELLED, deliver_at=None, delivery=None, **times)


def _status(job: store.Job | None) -> JobStatus | None:
    return job.status if job else None
