"""Statistics and queue health, in the shapes administrators read."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from jobhub.contract.figures import (
    Bucket,
    Check,
    Counts,
    Durations,
    Pending,
    PendingCount,
    QueueStatus,
    Running,
    RunningCount,
    Statistics,
    TypeStatistics,
    Window,
    Worker,
)
from jobhub.domain.histogram import Histogram, percentiles
from jobhub.domain.spans import Resolution, begin_of, spans_since
from jobhub.store import reports as store
from jobhub.store.batching import Shared
from jobhub.store.database import Connection, Database
from jobhub.store.reports import Finished, Measured, TypeFailures, Unfinished


class _Look(NamedTuple):
    """How far back, null for ever; how long one bucket is: 24 to 60 of them, as many as a chart shows well; what those are read from."""

    back: timedelta | None
    bucket: timedelta
    resolution: Resolution


_LOOKS = {
    Window.HOUR: _Look(timedelta(hours=1), timedelta(minutes=1), Resolution.MINUTE),
    Window.DAY: _Look(timedelta(days=1), timedelta(hours=1), Resolution.HOUR),
    Window.WEEK: _Look(timedelta(days=7), timedelta(hours=6), Resolution.HOUR),
    Window.MONTH: _Look(timedelta(days=30), timedelta(days=1), Resolution.DAY),
    Window.ALL: _Look(None, timedelta(days=1), Resolution.DAY),
}
_MOST_BUCKETS = 1000
_SHARES = (0.5, 0.95, 0.99)


async def statistics(db: Database, window: Window) -> Statistics:
    """All figures of a window, all of one moment. The window begins with the bucket in which `back` ends."""
    back, bucket, _ = _LOOKS[window]
    async with db.snapshot() as session:
        now, oldest_pending_seconds = await store.oldest_due(session)
        since = begin_of(now - back, bucket) if back else None
        within = store.Window(since=since, spans=spans_since(since, now=now))
        finished = await store.count_finished(session, within)
        of_all, times = await store.measure_attempts(session, within)
        throughput = await _throughput(session, since, now, _LOOKS[window])
        failures = await store.count_failures(session, within)
        unfinished = await store.count_unfinished(session)
    counts = _counts(finished, unfinished)
    total = _total(counts.values())
    processing_seconds, waiting_seconds = _durations(finished, of_all)
    return Statistics(
        window=window,
        generated_at=now,
        counts=total,
        success_rate=_rate(total.completed, total),
        failure_rate=_rate(total.failed, total),
        processing_seconds=processing_seconds,
        waiting_seconds=waiting_seconds,
        throughput=throughput,
        by_type=_by_type(counts, finished, times),
        failures=failures,
        oldest_pending_seconds=oldest_pending_seconds,
    )


async def _throughput(db: Connection, since: datetime | None, now: datetime, look: _Look) -> list[Bucket]:
    """By bucket since then; since the first day, if that is null, but no more buckets than a chart can show."""
    first_at = since or await store.first_counted_at(db)
    if first_at is None:
        return []
    earliest = begin_of(now, look.bucket) - (_MOST_BUCKETS - 1) * look.bucket
    return await store.throughput(db, max(first_at, earliest), look.resolution, look.bucket)


def _counts(finished: list[Finished], unfinished: list[Unfinished]) -> dict[str, Counts]:
    """By type, in the order of their names, without those of which there is nothing."""
    by_type = {one.job_type: {"completed": one.completed, "failed": one.failed, "cancelled": one.cancelled} for one in finished}
    for one in unfinished:
        by_type.setdefault(one.job_type, {}).update(pending=one.due + one.scheduled, running=one.running)
    return {job_type: Counts(**counts) for job_type, counts in sorted(by_type.items()) if any(counts.values())}


def _total(counts: Iterable[Counts]) -> Counts:
    added = Counter[str]()
    for one in counts:
        added.update(msgspec.structs.asdict(one))
    return Counts(**added)


def _by_type(counts: dict[str, Counts], finished: list[Finished], times: dict[str, Measured]) -> list[TypeStatistics]:
    figures = {one.job_type: [one] for one in finished}
    by_type = []
    for job_type, of_type in counts.items():
        processing_seconds, waiting_seconds = _durations(figures.get(job_type, ()), times.get(job_type, Measured()))
        by_type.append(
            TypeStatistics(
                job_type=job_type,
                counts=of_type,
                success_rate=_rate(of_type.completed, of_type),
                processing_seconds=processing_seconds,
                waiting_seconds=waiting_seconds,
            )
        )
    return by_type


def _durations(finished: Iterable[Finished], measured: Measured) -> tuple[Durations, Durations]:
    """Of processing and of waiting."""
    return (
        _summary(sum(one.processing_seconds for one in finished), measured.processing),
        _summary(sum(one.waiting_seconds for one in finished), measured.waiting),
    )


def _summary(seconds: float, histogram: Histogram) -> Durations:
    """The average is exact, the percentiles are within 5 %."""
    attempts = sum(histogram)
    p50, p95, p99 = percentiles(histogram, _SHARES)
    return Durations(average=seconds / attempts if attempts else None, p50=p50, p95=p95, p99=p99)


def _rate(part: int, counts: Counts) -> float | None:
    """A share of the jobs that completed or failed; cancelled ones say nothing about success."""
    ended = counts.completed + counts.failed
    return part / ended if ended else None


async def failures_by_type(db: Database) -> list[TypeFailures]:
    """What failed within a week, by job type and error code, the most frequent lately first."""
    return await store.count_failures_by_type(db)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What is healthy still."""

    max_due_seconds: float = 60.0  # a due job that waits longer means too few workers
    max_promotion_seconds: float = 10.0  # promotion runs twice a second in every worker
    max_rescue_seconds: float = 20.0  # the promise: a lost worker's jobs start again within 20 s
    min_workers: int = 1


USUAL = Thresholds()


async def queue_status(db: Database, thresholds: Thresholds) -> QueueStatus:
    """The queue now, with a verdict."""
    _, oldest = await store.oldest_due(db)
    lags = await store.dispatch_lags(db)
    unfinished, workers = await store.count_unfinished(db), await store.list_workers(db)
    live = sum(worker.alive for worker in workers)
    checks = [
        Check(name="database", ok=True, detail="answers", value=None, threshold=None),
        _lag("oldest_due_job", "the longest-waiting due job has waited", oldest, thresholds.max_due_seconds),
        Check(
            name="live_workers",
            ok=live >= thresholds.min_workers,
            detail=f"{live} {'worker has' if live == 1 else 'workers have'} a valid lease",
            value=live,
            threshold=thresholds.min_workers,
        ),
        _lag(
            "promotion_lag",
            "a job whose time has come has waited for its delivery",
            lags.promotion_seconds,
            thresholds.max_promotion_seconds,
        ),
        _lag("rescue_lag", "a lost worker's job has waited to be rescued", lags.rescue_seconds, thresholds.max_rescue_seconds),
    ]
    due, scheduled = sum(one.due for one in unfinished), sum(one.scheduled for one in unfinished)
    return QueueStatus(
        healthy=all(check.ok for check in checks),
        checks=checks,
        pending=Pending(
            total=due + scheduled,
            due=due,
            scheduled=scheduled,
            by_type=[
                PendingCount(job_type=one.job_type, due=one.due, scheduled=one.scheduled) for one in unfinished if one.due or one.scheduled
            ],
        ),
        running=Running(
            total=sum(one.running for one in unfinished),
            by_type=[RunningCount(job_type=one.job_type, running=one.running) for one in unfinished if one.running],
        ),
        workers=[Worker(**msgspec.structs.asdict(worker), running=len(worker.current_jobs)) for worker in workers],
    )


def _lag(name: str, what: str, seconds: float | None, threshold: float) -> Check:
    detail = "nothing is waiting" if seconds is None else f"{what} {seconds:.1f} s"
    return Check(name=name, ok=(seconds or 0) <= threshold, detail=detail, value=seconds, threshold=threshold)


class Insight:
    """Statistics and queue status for many who look at once, as open dashboards do: each is read once for all who ask meanwhile."""

    def __init__(self, db: Database, thresholds: Thresholds) -> None:
        self._queue_status = Shared(partial(queue_status, db, thresholds))
        self._statistics = {window: Shared(partial(statistics, db, window)) for window in Window}

    async def statistics(self, window: Window) -> Statistics:
        """All figures of a window, of one moment after they were asked for."""
        return await self._statistics[window].get()

    async def queue_status(self) -> QueueStatus:
        """The queue after this was asked for, with a verdict."""
        return await self._queue_status.get()
