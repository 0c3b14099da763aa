"""Statistics and the state of the queue as administrators read them. Not here: where the figures come from (`services.insight`)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, null when nothing was measured."""

    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


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


class Window(StrEnum):
    """How far back statistics look."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    ALL = "all"


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
