"""What the database says, read whole; and whether it says what the model believes.

Times are compared as distances from now, within a tolerance: the model's clock stands still while statements run.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tests.model.state import Delivery, Job, Model

# Half of the shortest time the model counts in; no example takes this long.
TOLERANCE_SECONDS = 25

_TIMES = (
    "created_at",
    "updated_at",
    "due_at",
    "scheduled_for",
    "deliver_at",
    "started_at",
    "completed_at",
    "cancel_requested_at",
    "unknown_type_since",
    "pinned_at",
)
_VALUES = (
    "owner_id",
    "job_type",
    "queue",
    "priority",
    "max_attempts",
    "status",
    "attempt",
    "failed_attempts",
    "lost_attempts",
    "progress_percentage",
    "progress_message",
    "result",
    "error_code",
    "worker_id",
    "version",
)


@dataclass(frozen=True)
class Snapshot:
    """All rows that matter. `acts` counts the rows of the audit log by job and verb."""

    now: datetime
    jobs: dict[UUID, asyncpg.Record]
    attempts: dict[UUID, list[asyncpg.Record]]
    deliveries: dict[int, Delivery]
    leases: dict[UUID, datetime]
    claims: set[tuple[UUID, UUID]]
    keys: dict[tuple[UUID, str], asyncpg.Record]
    acts: Counter[tuple[UUID, str]]
    stat_changes: list[asyncpg.Record]

    def seconds_from_now(self, at: datetime) -> float:
        return (at - self.now).total_seconds()


# Whole rows, in one round trip: it is made after every step.
_READ = """
SELECT
    now() AS now,
    ARRAY(SELECT jobs FROM jobs) AS jobs,
    ARRAY(SELECT job_attempts FROM job_attempts ORDER BY number) AS attempts,
    ARRAY(SELECT procrastinate_jobs FROM procrastinate_jobs) AS deliveries,
    ARRAY(SELECT workers FROM workers) AS workers,
    ARRAY(SELECT claims FROM claims) AS claims,
    ARRAY(SELECT idempotency_keys FROM idempotency_keys) AS keys,
    ARRAY(SELECT audit_log FROM audit_log WHERE id > $1) AS acts,
    ARRAY(SELECT job_stat_changes FROM job_stat_changes) AS stat_changes
"""


async def read_snapshot(connection: asyncpg.Connection, *, acts_after: int) -> Snapshot:
    """Read everything; of the audit log, which can't be emptied, what came after one row."""
    read = await connection.fetchrow(_READ, acts_after)
    attempts: dict[UUID, list[asyncpg.Record]] = {}
    for row in read["attempts"]:
        attempts.setdefault(row["job_id"], []).append(row)
    return Snapshot(
        now=read["now"],
        jobs={row["id"]: row for row in read["jobs"]},
        attempts=attempts,
        deliveries={row["id"]: _delivery(row) for row in read["deliveries"]},
        leases={row["id"]: row["lease_until"] for row in read["workers"]},
        claims={(row["worker_id"], job_id) for row in read["claims"] for job_id in row["job_ids"]},
        keys={(row["owner_id"], row["key"]): row for row in read["keys"]},
        acts=Counter((row["job_id"], row["verb"]) for row in read["acts"]),
        stat_changes=read["stat_changes"],
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    assert row["status"] == "todo", row
    return Delivery(UUID(row["args"]["job_id"]), row["queue_name"], row["priority"])


def learn_delivery_numbers(model: Model, snapshot: Snapshot) -> None:
    """Give the model's new deliveries the numbers the database gave them; what doesn't fit is left for `assert_equal` to find."""
    fresh = sorted(snapshot.deliveries.keys() - model.deliveries.keys())
    for number in fresh:
        job_id = snapshot.deliveries[number].job_id
        unnumbered = [old for old, delivery in model.deliveries.items() if old < 0 and delivery.job_id == job_id]
        job, row = model.jobs.get(job_id), snapshot.jobs.get(job_id)
        is_live = row is not None and row["delivery_id"] == number
        for old in sorted(unnumbered, reverse=True):
            if is_live == (job is not None and job.delivery == old):
                model.deliveries[number] = model.deliveries.pop(old)
                if is_live:
                    job.delivery = number
                break


def assert_equal(model: Model, snapshot: Snapshot) -> None:
    """Compare the model with the database, table by table."""
    assert snapshot.jobs.keys() == model.jobs.keys()
    for job_id, job in model.jobs.items():
        _assert_job_equal(model.now, job, snapshot.jobs[job_id], snapshot)
        _assert_attempts_equal(job, snapshot.attempts.get(job_id, []))
    assert snapshot.attempts.keys() <= model.jobs.keys()
    assert snapshot.deliveries == model.deliveries
    assert {key: row["job_id"] for key, row in snapshot.keys.items()} == {key: value.job_id for key, value in model.keys.items()}
    assert snapshot.leases.keys() == model.leases.keys()
    expiries = {key: value.expires_at for key, value in model.keys.items()}
    _assert_times_equal(model.now, expiries, {key: row["expires_at"] for key, row in snapshot.keys.items()}, snapshot)
    _assert_times_equal(model.now, dict(model.leases), snapshot.leases, snapshot)


def _assert_job_equal(now: int, job: Job, row: asyncpg.Record, snapshot: Snapshot) -> None:
    found = {name: row[name] for name in _VALUES} | {"delivery": row["delivery_id"]}
    assert found == {name: getattr(job, name) for name in (*_VALUES, "delivery")}
    _assert_times_equal(now, {name: getattr(job, name) for name in _TIMES}, {name: row[name] for name in _TIMES}, snapshot)


def _assert_attempts_equal(job: Job, rows: list[asyncpg.Record]) -> None:
    found = [(row["number"], row["worker_id"], row["outcome"], row["error_code"]) for row in rows]
    assert found == [(one.number, one.worker_id, one.outcome, one.error_code) for one in job.attempts]


def _assert_times_equal(now: int, expected: dict[Any, int | None], found: dict[Any, datetime | None], snapshot: Snapshot) -> None:
    for name, at in expected.items():
        assert (found[name] is None) == (at is None), f"{name}: {found[name]}, expected {at}"
        if at is not None:
            assert abs(snapshot.seconds_from_now(found[name]) - (at - now)) < TOLERANCE_SECONDS, (
                f"{name}: {found[name]}, expected {at - now} s"
            )
