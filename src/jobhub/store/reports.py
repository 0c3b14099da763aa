"""Statistics and the state of the queue: one function per statement of sql/queries/reports.sql."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from jobhub.contract.figures import Bucket, FailureCount, WorkerState
from jobhub.domain.histogram import Histogram, sum_of
from jobhub.domain.spans import Resolution, Spans, spans_since
from jobhub.store.database import Connection


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What finished of one job type, and the times of all its attempts added up."""

    job_type: str
    completed: int
    failed: int
    cancelled: int
    waiting_seconds: float
    processing_seconds: float


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of one type are due, wait for their time, and run."""

    job_type: str
    due: int
    scheduled: int
    running: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How many finished jobs of one type there still are."""

    job_type: str
    completed: int
    failed: int
    cancelled: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Times of attempts."""

    waiting: Histogram = ()
    processing: Histogram = ()


class TypeFailures(msgspec.Struct, frozen=True, kw_only=True):
    """How often jobs of one type failed with one code lately; the latest in the minute, hour or quarter of a day from `latest_at`."""

    job_type: str
    error_code: str
    within_hour: int
    within_day: int
    within_week: int
    latest_at: datetime


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the loops are that every worker runs; null: nothing is waiting for them."""

    promotion_seconds: float | None
    rescue_seconds: float | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, null for ever, and the spans of the rollups that hold what happened since."""

    since: datetime | None
    spans: list[Spans]

    def parameters(self) -> dict[str, Any]:
        """What the statements take."""
        return {
            "since": self.since,
            "resolutions": [span.resolution for span in self.spans],
            "begins": [span.begins_at for span in self.spans],
            "ends": [span.ends_at for span in self.spans],
            "signs": [span.sign for span in self.spans],
        }


async def count_finished(db: Connection, window: Window) -> list[Finished]:
    """What finished in the window, by type."""
    return [msgspec.convert(dict(row), Finished) for row in await db.fetch("count_finished", **window.parameters())]


async def measure_attempts(db: Connection, window: Window) -> tuple[Measured, dict[str, Measured]]:
    """Times of all attempts together, and by job type."""
    rows_of: dict[str, list[asyncpg.Record]] = {}
    for row in await db.fetch("measure_attempts", **window.parameters()):
        rows_of.setdefault(row["job_type"], []).append(row)
    by_type = {}
    for job_type, rows in rows_of.items():
        by_type[job_type] = Measured(
            waiting=sum_of((row["sign"], row["waiting"]) for row in rows),
            processing=sum_of((row["sign"], row["processing"]) for row in rows),
        )
    of_all = Measured(
        waiting=sum_of((1, measured.waiting) for measured in by_type.values()),
        processing=sum_of((1, measured.processing) for measured in by_type.values()),
    )
    return of_all, by_type


async def first_counted_at(db: Connection) -> datetime | None:
    """The begin of the first day of which anything is counted."""
    row = await db.fetch_row("first_counted_at")
    assert row is not None  # a SELECT without FROM
    return row["at"]  # type: ignore[no-any-return]


async def throughput(db: Connection, since: datetime, resolution: Resolution, bucket: timedelta) -> list[Bucket]:
    """Finished jobs by bucket, the first of which begins with `since`, read from spans of that resolution; at most 1,001 buckets."""
    rows = await db.fetch("throughput", since=since, resolution=resolution, bucket_seconds=bucket.total_seconds())
    return [msgspec.convert(dict(row), Bucket) for row in rows]


async def count_failures(db: Connection, window: Window) -> list[FailureCount]:
    """Failed jobs by code, the most frequent first, at most 100 codes."""
    return [msgspec.convert(dict(row), FailureCount) for row in await db.fetch("count_failures", **window.parameters())]


async def count_failures_by_type(db: Connection) -> list[TypeFailures]:
    """Failed jobs of a week by type and code, the most frequent lately first, at most 200 rows."""
    return [msgspec.convert(dict(row), TypeFailures) for row in await db.fetch("count_failures_by_type")]


async def count_kept_before(db: Connection, before: datetime) -> list[Kept]:
    """Jobs that finished before then and were not cleaned up since, by type. `before` begins a span that is counted still."""
    parameters = Window(since=before, spans=spans_since(before)).parameters()
    del parameters["signs"]  # all of these are added
    rows = await db.fetch("count_kept_before", before=parameters.pop("since"), **parameters)
    return [msgspec.convert(dict(row), Kept) for row in rows]


async def oldest_due(db: Connection) -> tuple[datetime, float | None]:
    """The database's clock, and for how many seconds the longest-waiting due job has been due."""
    row = await db.fetch_row("oldest_due")
    assert row is not None  # an aggregate without GROUP BY
    return row["now"], row["seconds"]


async def count_unfinished(db: Connection) -> list[Unfinished]:
    """Pending and running jobs by type."""
    return [msgspec.convert(dict(row), Unfinished) for row in await db.fetch("count_unfinished")]


async def list_workers(db: Connection) -> list[WorkerState]:
    """All workers on record, the live ones first."""
    return [msgspec.convert(dict(row), WorkerState) for row in await db.fetch("list_workers")]


async def dispatch_lags(db: Connection) -> Lags:
    """How far behind promotion and rescue are."""
    row = await db.fetch_row("dispatch_lags")
    assert row is not None  # a SELECT without FROM
    return msgspec.convert(dict(row), Lags)
