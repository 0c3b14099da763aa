"""A job as a row of a list and as the head of its own page: what its state is called, why it waits, how long it took."""

from datetime import datetime
from typing import Any

import msgspec

from jobhub.domain.jobs import Intervener, Job, JobStatus, Verb
from jobhub.domain.lifecycle import is_allowed
from jobhub.services.jobs import PlacedJob
from jobhub.web.ui.wording import ago

_WHY_IT_WAITS = {
    "no_worker": "No worker is running for it",
    "running_limit": "Waits for other jobs of yours to end",
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One job, looked at `now`."""

    placed: PlacedJob
    now: datetime
    owner_email: str | None = None

    @property
    def job(self) -> Job:
        return self.placed.job

    @property
    def label(self) -> str:
        """The state in a word or two."""
        job = self.job
        if job.status is JobStatus.RUNNING and job.cancel_requested_at:
            return "Stopping"
        if job.status is JobStatus.PENDING and self.placed.place and self.placed.place.reason in ("scheduled", "retry_backoff"):
            return "Scheduled" if self.placed.place.reason == "scheduled" else "Will retry"
        return job.status.value.capitalize()

    @property
    def hint(self) -> str:
        """A few words more: why it waits, how far it is, what went wrong."""
        job, place = self.job, self.placed.place
        if job.status is JobStatus.PENDING and place:
            return self._waiting_hint(place.reason, place.position)
        if job.status is JobStatus.RUNNING:
            return job.progress_message or ""
        if job.status is JobStatus.FAILED:
            return (job.error_message or job.error_code or "").partition("\n")[0]
        if job.intervened_by and job.status in (JobStatus.CANCELLED, JobStatus.COMPLETED):
            by = "by you" if job.intervened_by is Intervener.OWNER and not self.owner_email else f"by the {job.intervened_by}"
            return f"{by}: {job.intervention_reason}" if job.intervention_reason else by
        return ""

    def _waiting_hint(self, reason: str, position: int | None) -> str:
        if reason == "scheduled":
            return f"Starts {ago(self.job.due_at, self.now)}"
        if reason == "retry_backoff":
            return f"Next attempt {ago(self.job.due_at, self.now)}"
        if reason in _WHY_IT_WAITS:
            return _WHY_IT_WAITS[reason]
        return f"No. {position if position and position < 1000 else '1,000+'} in the queue"

    @property
    def ran_seconds(self) -> float | None:
        """Of the latest attempt."""
        if self.job.started_at is None:
            return None
        return max(0.0, ((self.job.completed_at or self.now) - self.job.started_at).total_seconds())

    @property
    def can_cancel(self) -> bool:
        is_asked = self.job.cancel_requested_at is not None
        return not is_asked and not self.job.status.is_finished

    @property
    def can_retry(self) -> bool:
        return is_allowed(Verb.RETRY, self.job.status)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a job's life; `seconds` is how long it took, or has taken so far."""

    name: str
    label: str
    at: datetime
    seconds: float | None = None
    is_going_on: bool = False


def life_of(row: Row) -> list[Step]:
    """The job's life in order: submitted, waited, ran, ended."""
    job, now = row.job, row.now
    until = job.started_at or job.completed_at or now
    steps = [Step(name="submitted", label="Submitted", at=job.created_at)]
    held = (min(job.due_at, until) - job.created_at).total_seconds()
    if held >= 1 or job.due_at > now:
        is_open = job.due_at > now and not job.status.is_finished
        steps.append(_step("held", "Held back" if job.attempt == 0 else "Earlier attempts", job.created_at, held, is_open=is_open))
    if job.due_at <= until:
        waited = (until - job.due_at).total_seconds()
        steps.append(_step("waited", "Waited", job.due_at, waited, is_open=job.status is JobStatus.PENDING))
    if job.started_at:
        steps.append(_step("ran", "Ran", job.started_at, row.ran_seconds or 0.0, is_open=job.status is JobStatus.RUNNING))
    if job.completed_at:
        steps.append(Step(name=job.status.value, label=job.status.value.capitalize(), at=job.completed_at))
    return steps


def _step(name: str, label: str, at: datetime, seconds: float, *, is_open: bool) -> Step:
    return Step(name=name, label=label, at=at, seconds=max(0.0, seconds), is_going_on=is_open)


def bar_of(steps: list[Step]) -> list[dict[str, Any]]:
    """The same as parts of one bar of 1,000 units: what takes time, none of it so short that nobody sees it."""
    timed = [step for step in steps if step.seconds is not None]
    total = sum(step.seconds or 0.0 for step in timed) or 1.0
    widths = [max(12.0, 1000 * (step.seconds or 0.0) / total) for step in timed]
    scale = 1000 / sum(widths) if widths else 1.0
    parts, x = [], 0.0
    for step, width in zip(timed, widths, strict=True):
        parts.append({"name": step.name, "x": round(x, 1), "width": round(width * scale, 1)})
        x += width * scale
    return parts
