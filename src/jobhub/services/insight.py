"""Statistics and queue health, in the shapes administrators read."""

from datetime import datetime
from enum import StrEnum

import msgspec

from jobhub.domain.jobs import JobStatus
from jobhub.store import reports as store
from jobhub.store.database import Database
from jobhub.store.reports import Bucket, Durations, FailureCount, Measured, PendingCount, TypeFailures, WorkerState


class Window(StrEnum):
    """How far back statistics look."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    ALL = "all"


# Seconds of the window and of one bucket: 24 to 60 buckets, as many as a chart shows well.
_SECONDS: dict[Window, tuple[float | None, float]] = {
    Window.HOUR: (3600, 60),
    Window.DAY: (86400, 3600),
    Window.WEEK: (7 * 86400, 6 * 3600),
    Window.MONTH: (30 * 86400, 86400),
    Window.ALL: (None, 86400),
}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs by status: pending and running of now, the others of what finished in the window."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class TypeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one job type."""

    job_type: str
    counts: Counts
    success_rate: float | None
    processing_seconds: Durations
    waiting_seconds: Durations


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /jobs/admin/statistics`. A rate or percentile of nothing is null."""

    window: Window
    generated_at: datetime
    counts: Counts
    success_rate: float | None
    failure_rate: float | None
    processing_seconds: Durations
    waiting_seconds: Durations
    throughput: list[Bucket]
    by_type: list[TypeStatistics]
    failures: list[FailureCount]
    oldest_pending_seconds: float | None


async def statistics(db: Database, window: Window) -> Statistics:
    """All figures of a window."""
    seconds, bucket_seconds = _SECONDS[window]
    generated_at, oldest_pending_seconds = await store.oldest_due(db)
    counts = await store.count_jobs(db, seconds)
    times = await store.measure_attempts(db, seconds)
    total = _counts(counts)
    over_all = times.get(None, _NOTHING)
    return Statistics(
        window=window,
        generated_at=generated_at,
        counts=total,
        success_rate=_rate(total.completed, total),
        failure_rate=_rate(total.failed, total),
        processing_seconds=over_all.processing,
        waiting_seconds=over_all.waiting,
        throughput=await store.throughput(db, seconds, bucket_seconds),
        by_type=[_of_type(job_type, by_status, times.get(job_type, _NOTHING)) for job_type, by_status in counts.items()],
        failures=await store.count_failures(db, seconds),
        oldest_pending_seconds=oldest_pending_seconds,
    )


_NOTHING = Measured(processing=Durations(), waiting=Durations())


def _of_type(job_type: str, by_status: dict[JobStatus, int], times: Measured) -> TypeStatistics:
    counts = _counts({job_type: by_status})
    return TypeStatistics(
        job_type=job_type,
        counts=counts,
        success_rate=_rate(counts.completed, counts),
        processing_seconds=times.processing,
        waiting_seconds=times.waiting,
    )


def _counts(by_type: dict[str, dict[JobStatus, int]]) -> Counts:
    return Counts(**{status.value: sum(counts.get(status, 0) for counts in by_type.values()) for status in JobStatus})


def _rate(part: int, counts: Counts) -> float | None:
    """A share of the jobs that completed or failed; cancelled ones say nothing about success."""
    ended = counts.completed + counts.failed
    return part / ended if ended else None


async def failures_by_type(db: Database) -> list[TypeFailures]:
    """What failed within a week, by job type and error code, the most frequent lately first."""
    return await store.count_failures_by_type(db)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must be so for the queue to be healthy. `value` and `threshold` are seconds, or live workers."""

    name: str
    ok: bool
    detail: str
    value: float | None
    threshold: float | None


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    due: int
    scheduled: int
    by_type: list[PendingCount]


class RunningCount(msgspec.Struct, frozen=True, kw_only=True):
    job_type: str
    running: int


class Running(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    by_type: list[RunningCount]


class Worker(WorkerState, frozen=True, kw_only=True):
    """A worker, and how many jobs it runs."""

    running: int


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /jobs/admin/queue-status`."""

    healthy: bool
    checks: list[Check]
    pending: Pending
    running: Running
    workers: list[Worker]


MAX_DUE_SECONDS = 60.0  # a due job that waits longer means too few workers
MAX_PROMOTION_SECONDS = 10.0  # promotion runs twice a second in every worker
MAX_RESCUE_SECONDS = 20.0  # the promise: a lost worker's jobs start again within 20 s


async def queue_status(db: Database) -> QueueStatus:
    """The queue now, with a verdict."""
    _, oldest = await store.oldest_due(db)
    lags = await store.dispatch_lags(db)
    pending, running, workers = await store.count_pending(db), await store.count_running(db), await store.list_workers(db)
    live = sum(worker.alive for worker in workers)
    checks = [
        Check(name="database", ok=True, detail="answers", value=None, threshold=None),
        _lag("oldest_due_job", "the longest-waiting due job has waited", oldest, MAX_DUE_SECONDS),
        Check(name="live_workers", ok=live > 0, detail=f"{live} workers have a valid lease", value=live, threshold=1),
        _lag("promotion_lag", "a job whose time has come has waited for its delivery", lags.promotion_seconds, MAX_PROMOTION_SECONDS),
        _lag("rescue_lag", "a lost worker's job has waited to be rescued", lags.rescue_seconds, MAX_RESCUE_SECONDS),
    ]
    due = sum(count.due for count in pending)
    scheduled = sum(count.scheduled for count in pending)
    return QueueStatus(
        healthy=all(check.ok for check in checks),
        checks=checks,
        pending=Pending(total=due + scheduled, due=due, scheduled=scheduled, by_type=pending),
        running=Running(
            total=sum(running.values()),
            by_type=[RunningCount(job_type=job_type, running=count) for job_type, count in running.items()],
        ),
        workers=[Worker(**msgspec.structs.asdict(worker), running=len(worker.current_jobs)) for worker in workers],
    )


def _lag(name: str, what: str, seconds: float | None, threshold: float) -> Check:
    detail = "nothing is waiting" if seconds is None else f"{what} {seconds:.1f} s"
    return Check(name=name, ok=(seconds or 0) <= threshold, detail=detail, value=seconds, threshold=threshold)
