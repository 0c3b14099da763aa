"""Statistics and the state of the queue: one function per statement of sql/queries/reports.sql."""

from datetime import datetime
from uuid import UUID

import msgspec

from jobhub.domain.jobs import JobStatus
from jobhub.store.database import Connection


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, null when nothing was measured."""

    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the attempts of one job type."""

    processing: Durations
    waiting: Durations


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that finished from `at` until the next bucket."""

    at: datetime
    completed: int
    failed: int
    cancelled: int


class FailureCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often jobs failed with one code."""

    error_code: str
    count: int


class TypeFailures(msgspec.Struct, frozen=True, kw_only=True):
    """How often jobs of one type failed with one code lately; the latest of them at `latest_at`."""

    job_type: str
    error_code: str | None
    within_hour: int
    within_day: int
    within_week: int
    latest_at: datetime


class PendingCount(msgspec.Struct, frozen=True, kw_only=True):
    """Pending jobs of one type: due now, and waiting for their time."""

    job_type: str
    due: int
    scheduled: int


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. `lease_seconds` is what is left of its lease, negative once it is over."""

    id: UUID
    host: str
    pid: int
    version: str
    started_at: datetime
    lease_seconds: float
    loop_lag_ms: int
    concurrency: int
    current_jobs: list[UUID]
    alive: bool


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the loops are that every worker runs; null: nothing is waiting for them."""

    promotion_seconds: float | None
    rescue_seconds: float | None


async def count_jobs(db: Connection, window_seconds: float | None) -> dict[str, dict[JobStatus, int]]:
    """Jobs by type and status, pending and running ones of now; combinations that don't occur are absent."""
    counts: dict[str, dict[JobStatus, int]] = {}
    for row in await db.fetch("count_finished", window_seconds=window_seconds):
        counts.setdefault(row["job_type"], {})[JobStatus(row["status"])] = row["jobs"]
    for pending in await count_pending(db):
        counts.setdefault(pending.job_type, {})[JobStatus.PENDING] = pending.due + pending.scheduled
    for job_type, running in (await count_running(db)).items():
        counts.setdefault(job_type, {})[JobStatus.RUNNING] = running
    return dict(sorted(counts.items()))


async def measure_attempts(db: Connection, window_seconds: float | None) -> dict[str | None, Measured]:
    """Times by job type; under None those over all types."""
    rows = await db.fetch("measure_attempts", window_seconds=window_seconds)
    return {
        row["job_type"]: Measured(
            processing=_durations(row["processing_average"], row["processing_percentiles"]),
            waiting=_durations(row["waiting_average"], row["waiting_percentiles"]),
        )
        for row in rows
    }


def _durations(average: float | None, percentiles: list[float] | None) -> Durations:
    p50, p95, p99 = percentiles or (None, None, None)
    return Durations(average=average, p50=p50, p95=p95, p99=p99)


async def throughput(db: Connection, window_seconds: float | None, bucket_seconds: float) -> list[Bucket]:
    """Finished jobs by bucket, oldest first, at most 1,001 buckets."""
    rows = await db.fetch("throughput", window_seconds=window_seconds, bucket_seconds=bucket_seconds)
    return [msgspec.convert(dict(row), Bucket) for row in rows]


async def count_failures(db: Connection, window_seconds: float | None) -> list[FailureCount]:
    """Failed jobs by code, the most frequent first, at most 100 codes."""
    return [msgspec.convert(dict(row), FailureCount) for row in await db.fetch("count_failures", window_seconds=window_seconds)]


async def count_failures_by_type(db: Connection) -> list[TypeFailures]:
    """Failed jobs of the last 7 days by type and code, the most frequent lately first, at most 200 rows."""
    return [msgspec.convert(dict(row), TypeFailures) for row in await db.fetch("count_failures_by_type")]


async def oldest_due(db: Connection) -> tuple[datetime, float | None]:
    """The database's clock, and for how many seconds the longest-waiting due job has been due."""
    row = await db.fetch_row("oldest_due")
    assert row is not None  # an aggregate without GROUP BY
    return row["now"], row["seconds"]


async def count_pending(db: Connection) -> list[PendingCount]:
    """Pending jobs by type."""
    return [msgspec.convert(dict(row), PendingCount) for row in await db.fetch("count_pending")]


async def count_running(db: Connection) -> dict[str, int]:
    """Running jobs by type."""
    return {row["job_type"]: row["running"] for row in await db.fetch("count_running")}


async def list_workers(db: Connection) -> list[WorkerState]:
    """All workers on record, the live ones first."""
    return [msgspec.convert(dict(row), WorkerState) for row in await db.fetch("list_workers")]


async def dispatch_lags(db: Connection) -> Lags:
    """How far behind promotion and rescue are."""
    row = await db.fetch_row("dispatch_lags")
    assert row is not None  # a SELECT without FROM
    return msgspec.convert(dict(row), Lags)
