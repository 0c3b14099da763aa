"""Figures for monitoring, of the workers and of what ended lately. Not here: the queue's depth and lags (`store.reports`)."""

from datetime import datetime

import msgspec

from jobhub.domain.jobs import AttemptOutcome
from jobhub.store.database import Connection


class WorkerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All workers together, by the database's clock. `claims` and `deliveries` count from the beginning of the database."""

    now: datetime
    live: int
    stopping: int
    lost: int
    slots: int
    shortest_lease_seconds: float | None
    loop_lag_seconds: float | None
    claims: int
    deliveries: int


async def worker_figures(db: Connection) -> WorkerFigures:
    """The workers now."""
    row = await db.fetch_row("worker_figures")
    assert row is not None  # an aggregate without GROUP BY
    return msgspec.convert(dict(row), WorkerFigures)


async def count_ended_attempts(db: Connection, since: datetime, until: datetime) -> dict[tuple[str, AttemptOutcome], int]:
    """Attempts that ended after `since` and not after `until`, by job type and outcome."""
    rows = await db.fetch("count_ended_attempts", since=since, until=until)
    return {(row["job_type"], AttemptOutcome(row["outcome"])): row["attempts"] for row in rows}


async def count_finishes(db: Connection, since: datetime, until: datetime) -> int:
    """The statements that recorded them."""
    row = await db.fetch_row("count_finishes", since=since, until=until)
    assert row is not None  # an aggregate without GROUP BY
    finishes: int = row["finishes"]
    return finishes
