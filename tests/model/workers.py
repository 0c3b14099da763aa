"""The verbs of workers: renew, promote, claim, progress, finish, rescue, and what becomes of a worker that is gone."""

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome, Verb
from jobhub.store import dispatch
from tests.model.operations import Operation, qualifies
from tests.model.session import Session
from tests.model.state import PUT_BACK_SECONDS, UNKNOWN_TYPE_SECONDS, Attempt, Job, Model, Seen

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
QUEUES = ("default", "other")
Accepted = set[tuple[UUID, int, JobStatus]]


@dataclass(frozen=True)
class Renew(Operation):
    """Register a worker, or renew its lease."""

    worker_id: UUID

    async def run(self, session: Session) -> None:
        row = {"host": "model", "pid": 1, "version": "0", "queues": list(QUEUES), "concurrency": 9, "loop_lag_ms": 0, "stopping": False}
        await dispatch.renew_lease(session, dispatch.WorkerRow(worker_id=self.worker_id, **row))

    def apply(self, model: Model, seen: Seen) -> None:
        model.leases[self.worker_id] = model.now + 15


@dataclass(frozen=True)
class ForgetClaims(Operation):
    """A worker forgets claims of which nothing runs any more; how many, only the invariants know."""

    worker_id: UUID

    async def run(self, session: Session) -> None:
        await dispatch.forget_claims(session, self.worker_id)

    def apply(self, model: Model, seen: Seen) -> None:
        pass


@dataclass(frozen=True)
class Leave(Operation):
    """A worker that stopped takes its row away."""

    worker_id: UUID

    async def run(self, session: Session) -> None:
        await dispatch.remove_worker(session, self.worker_id)

    def apply(self, model: Model, seen: Seen) -> None:
        model.leases.pop(self.worker_id, None)


@dataclass(frozen=True)
class Promote(Operation):
    """Give jobs whose time has come their delivery."""

    async def run(self, session: Session) -> int:
        return await dispatch.promote_jobs(session)

    def apply(self, model: Model, seen: Seen) -> int:
        due = [
            job_id
            for job_id in model.jobs
            if job_id not in seen.held_jobs and qualifies(model, seen, job_id, lambda job: _is_over(job.deliver_at, model.now))
        ]
        for job_id in due:
            model.jobs[job_id].deliver_at = None
            model.jobs[job_id].delivery = model.deliver(job_id)
        return len(due)


@dataclass(frozen=True)
class Claim(Operation):
    """Start up to `slots` jobs; the answer is what was started, best first, and how many deliveries were taken."""

    worker_id: UUID
    queues: tuple[str, ...]
    known_types: tuple[str, ...]
    slots: int
    VERBS: ClassVar = frozenset({Verb.START})

    async def run(self, session: Session) -> tuple[list[tuple[UUID, int]], int]:
        given = {"worker_id": self.worker_id, "queues": self.queues, "known_types": self.known_types, "slots": self.slots}
        claim = await dispatch.claim_jobs(session, **given)
        return [(job.id, job.attempt) for job in claim.jobs], claim.taken

    def apply(self, model: Model, seen: Seen) -> tuple[list[tuple[UUID, int]], int]:
        if not seen.before.has_lease(self.worker_id):
            return [], 0
        visible = seen.before.deliveries.keys() & model.deliveries.keys() - seen.held_deliveries
        waiting = [(-model.deliveries[number].priority, number) for number in visible if model.deliveries[number].queue in self.queues]
        taken = [number for _, number in sorted(waiting)][: self.slots]
        served = [(number, model.deliveries.pop(number).job_id) for number in taken]
        started = [job_id for number, job_id in served if self._serve(model, seen, number, job_id)]
        return [(job_id, model.jobs[job_id].attempt) for job_id in started], len(taken)

    def _serve(self, model: Model, seen: Seen, number: int, job_id: UUID) -> bool:
        if not qualifies(model, seen, job_id, lambda job: job.status is PENDING and job.delivery == number):
            return False
        job = model.jobs[job_id]
        if job.job_type not in self.known_types and not self._has_waited(job, model.now):
            job.deliver_at, job.delivery = model.now + PUT_BACK_SECONDS, None
            job.unknown_type_since = model.now if job.unknown_type_since is None else job.unknown_type_since
            return False
        cleared = {"progress_percentage": 0, "progress_message": None, "delivery": None, "unknown_type_since": None}
        start = {"attempt": job.attempt + 1, "worker_id": self.worker_id, "started_at": model.now}
        model.change(job_id, status=RUNNING, **start, **cleared)
        return True

    def _has_waited(self, job: Job, now: int) -> bool:
        return job.unknown_type_since is not None and job.unknown_type_since + UNKNOWN_TYPE_SECONDS <= now


@dataclass(frozen=True)
class Progress(Operation):
    """Report progress of an attempt, the running one or an older one."""

    job_id: UUID
    attempt: int
    percentage: int
    message: str | None
    VERBS: ClassVar = frozenset({Verb.PROGRESS})

    async def run(self, session: Session) -> bool:
        given = {"job_id": self.job_id, "attempt": self.attempt, "percentage": self.percentage, "message": self.message}
        return await dispatch.report_progress(session, **given)

    def apply(self, model: Model, seen: Seen) -> bool:
        if not qualifies(model, seen, self.job_id, self._may):
            return False
        message = self.message or model.jobs[self.job_id].progress_message
        model.change(self.job_id, progress_percentage=self.percentage, progress_message=message)
        return True

    def _may(self, job: Job) -> bool:
        is_current = job.status is RUNNING and job.attempt == self.attempt
        is_news = job.progress_percentage < self.percentage or (self.message or job.progress_message) != job.progress_message
        return is_current and job.progress_percentage <= self.percentage and is_news

    def verbs_on(self, job_id: UUID) -> frozenset[Verb]:
        return self.VERBS if job_id == self.job_id else frozenset()


@dataclass(frozen=True)
class Ending:
    """How one attempt ended, in the worker's view."""

    job_id: UUID
    attempt: int
    verb: Verb
    status: JobStatus
    delay_seconds: int = 0
    result: Any = None

    @property
    def outcome(self) -> AttemptOutcome:
        return _OUTCOMES[self.verb]

    @property
    def error_code(self) -> str | None:
        return "boom" if self.verb is Verb.FAIL else None


_OUTCOMES = {
    Verb.COMPLETE: AttemptOutcome.COMPLETED,
    Verb.FAIL: AttemptOutcome.FAILED,
    Verb.CANCEL: AttemptOutcome.CANCELLED,
    Verb.RELEASE: AttemptOutcome.RELEASED,
}


@dataclass(frozen=True)
class Finish(Operation):
    """Record some endings in one statement; the answer is those that were accepted, and the status each job has now."""

    endings: tuple[Ending, ...]

    async def run(self, session: Session) -> Accepted:
        outcomes = [
            Outcome(
                job_id=ending.job_id,
                attempt=ending.attempt,
                outcome=ending.outcome,
                status=ending.status,
                result=ending.result,
                error_code=ending.error_code,
                error_message="It went boom." if ending.error_code else None,
                delay_seconds=float(ending.delay_seconds),
            )
            for ending in self.endings
        ]
        return _accepted(await dispatch.finish_jobs(session, outcomes))

    def apply(self, model: Model, seen: Seen) -> Accepted:
        return {answer for ending in self.endings if (answer := _end(model, seen, ending))}

    def verbs_on(self, job_id: UUID) -> frozenset[Verb]:
        return frozenset(ending.verb for ending in self.endings if ending.job_id == job_id)


def _end(model: Model, seen: Seen, ending: Ending) -> tuple[UUID, int, JobStatus] | None:
    if not qualifies(model, seen, ending.job_id, lambda job: job.status is RUNNING and job.attempt == ending.attempt):
        return None
    job = model.jobs[ending.job_id]
    status = CANCELLED if ending.status is PENDING and job.cancel_requested_at is not None else ending.status
    columns: dict[str, Any] = {"completed_at": model.now, "result": ending.result if status is COMPLETED else None}
    if status is COMPLETED:
        columns["progress_percentage"] = 100
    if status is PENDING:
        columns |= _waiting(model, ending)
    columns["failed_attempts"] = job.failed_attempts + (ending.verb is Verb.FAIL)
    ended = Attempt(job.attempt, job.worker_id, ending.outcome, ending.error_code)
    model.change(ending.job_id, status=status, error_code=ending.error_code, attempts=(*job.attempts, ended), **columns)
    return ending.job_id, ending.attempt, status


def _waiting(model: Model, ending: Ending) -> dict[str, Any]:
    """Columns of a job that goes back to pending."""
    due_at = model.now + ending.delay_seconds
    columns: dict[str, Any] = {"completed_at": None, "due_at": due_at}
    if ending.verb is Verb.FAIL:
        columns["scheduled_for"] = due_at
    if ending.delay_seconds:
        return columns | {"deliver_at": due_at}
    return columns | {"delivery": model.deliver(ending.job_id)}


@dataclass(frozen=True)
class Rescue(Operation):
    """Take the jobs of workers whose lease is over."""

    VERBS: ClassVar = frozenset({Verb.RESCUE})

    async def run(self, session: Session) -> Accepted:
        return _accepted(await dispatch.rescue_jobs(session))

    def apply(self, model: Model, seen: Seen) -> Accepted:
        lost = [
            job_id
            for job_id in model.jobs
            if job_id not in seen.held_jobs and qualifies(model, seen, job_id, lambda job: self._may(job, seen.before))
        ]
        return {self._rescue(model, job_id) for job_id in lost}

    def _may(self, job: Job, seen: Model) -> bool:
        return job.status is RUNNING and not seen.has_lease(job.worker_id)

    def _rescue(self, model: Model, job_id: UUID) -> tuple[UUID, int, JobStatus]:
        job = model.jobs[job_id]
        lost_attempts = job.lost_attempts + 1
        columns: dict[str, Any] = {"status": PENDING, "due_at": model.now, "completed_at": None, "error_code": None}
        if job.cancel_requested_at is not None:
            columns = {"status": CANCELLED, "completed_at": model.now, "error_code": None}
        elif lost_attempts >= 3:
            columns = {"status": FAILED, "completed_at": model.now, "error_code": "worker_lost"}
        else:
            columns["delivery"] = model.deliver(job_id)
        ended = Attempt(job.attempt, job.worker_id, AttemptOutcome.WORKER_LOST, "worker_lost")
        model.change(job_id, lost_attempts=lost_attempts, attempts=(*job.attempts, ended), **columns)
        return job_id, job.attempt, columns["status"]


def _accepted(recorded: list[dispatch.Recorded]) -> Accepted:
    answers = {(one.job_id, one.attempt, one.status) for one in recorded}
    assert len(answers) == len(recorded), f"an outcome was answered twice: {recorded}"
    return answers


def _is_over(at: int | None, now: int) -> bool:
    return at is not None and at <= now
