"""Each report on data whose answer is known, run as report.query runs it and by psql, as the owner and as the role of reports."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from jobhub.postgres.files import sql_directory
from jobhub.services.retention import Policy, apply_policy
from jobhub.store.reporting import list_reports, run_report
from tests.factories import make_job, make_worker
from tests.reporting import make_stats, psql

pytestmark = pytest.mark.xdist_group("reporting_role")

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TODAY = HOUR.replace(hour=0)
OF_TABLES = {"state_drift", "rollup_drift"}  # they compare the tables themselves, which the role can't read


async def rows(dsn: str, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The report's rows as report.query gets them."""
    found = []
    async for columns, page in run_report(dsn, list_reports()[name], parameters, timeout_seconds=30):
        found += [dict(zip(columns, row, strict=True)) for row in page]
    return found


def values(found: list[dict[str, Any]], *names: str) -> list[tuple]:
    return [tuple(float(row[name]) if isinstance(row[name], Decimal) else row[name] for name in names) for row in found]


def test_there_is_a_report_for_each_question():
    assert list_reports().keys() >= {
        "daily_summary",
        "failure_causes",
        "retries_and_lost_workers",
        "slowest_job_types",
        "state_drift",
        "stuck_jobs",
        "throughput_by_hour",
        "use_by_owner",
        "waiting_by_hour",
    }


async def test_throughput_by_hour(sql, reader_dsn):
    make_stats(sql, HOUR, "a", completed=5, failures={"x": 1})
    make_stats(sql, HOUR + timedelta(minutes=7), "a", completed=2)
    make_stats(sql, HOUR - timedelta(hours=1), "b", cancelled=3)
    make_stats(sql, HOUR - timedelta(hours=1), "only attempts", attempts_released=3)
    make_stats(sql, HOUR - timedelta(hours=30), "b", completed=9)

    found = await rows(reader_dsn, "throughput_by_hour", hours=24)

    assert values(found, "hour", "job_type", "completed", "failed", "cancelled") == [
        (HOUR - timedelta(hours=1), "b", 0, 0, 3),
        (HOUR, "a", 7, 1, 0),
    ]


async def test_slowest_job_types(sql, reader_dsn):
    make_stats(sql, TODAY, "quick", ran=[0.1] * 100, waited=[1.0] * 100)
    make_stats(sql, TODAY - timedelta(days=1), "slow now and then", ran=[0.1] * 90 + [20.0] * 10, waited=[0.5] * 100)
    make_stats(sql, TODAY, "slow now and then", ran=[20.0], waited=[0.5])
    make_stats(sql, TODAY, "rare", ran=[500.0], waited=[0.0])
    make_stats(sql, TODAY - timedelta(days=9), "quick", ran=[1000.0] * 900)

    found = await rows(reader_dsn, "slowest_job_types", since=(TODAY - timedelta(days=2)).isoformat(), min_attempts=2)

    assert values(found, "job_type", "attempts", "average_seconds", "average_waiting_seconds") == [
        ("slow now and then", 101, 2.267, 0.5),
        ("quick", 100, 0.1, 1.0),
    ]
    assert [float(row["p95_seconds"]) for row in found] == pytest.approx([20.0, 0.1], rel=0.05)
    assert [float(row["p50_seconds"]) for row in found] == pytest.approx([0.1, 0.1], rel=0.05)


async def test_since_takes_in_the_whole_day_it_is_in(sql, reader_dsn):
    make_stats(sql, TODAY + timedelta(seconds=1), "a", ran=[1.0])

    assert len(await rows(reader_dsn, "slowest_job_types", since=(TODAY + timedelta(hours=23, minutes=59)).isoformat())) == 1
    assert await rows(reader_dsn, "slowest_job_types", since=(TODAY + timedelta(days=1)).isoformat()) == []


async def test_failure_causes(sql, reader_dsn):
    make_stats(sql, HOUR, "a", failures={"timeout": 2})
    make_stats(sql, HOUR - timedelta(hours=5), "a", failures={"timeout": 4, "boom": 1})
    make_stats(sql, HOUR, "b", failures={"boom": 1})
    make_stats(sql, HOUR - timedelta(days=8), "b", failures={"old": 50})

    found = await rows(reader_dsn, "failure_causes", days=7)

    assert values(found, "error_code", "job_type", "failed", "percent_of_failures", "first_hour", "last_hour") == [
        ("timeout", "a", 6, 75.0, HOUR - timedelta(hours=5), HOUR),
        ("boom", "a", 1, 12.5, HOUR - timedelta(hours=5), HOUR - timedelta(hours=5)),
        ("boom", "b", 1, 12.5, HOUR, HOUR),
    ]


async def test_waiting_by_hour(sql, reader_dsn):
    make_stats(sql, HOUR, "a", waited=[1.0] * 90, ran=[0.1] * 90)
    make_stats(sql, HOUR, "b", waited=[30.0] * 8 + [300.0] * 2, ran=[0.1] * 10)
    make_stats(sql, HOUR - timedelta(hours=2), "b", waited=[2.0], ran=[0.1])
    make_stats(sql, HOUR - timedelta(hours=25), "b", waited=[2.0], ran=[0.1])

    found = await rows(reader_dsn, "waiting_by_hour")

    assert values(found, "hour", "attempts", "average_seconds") == [(HOUR - timedelta(hours=2), 1, 2.0), (HOUR, 100, 9.3)]
    assert [float(found[1][name]) for name in ("p50_seconds", "p95_seconds", "p99_seconds")] == pytest.approx([1, 30, 300], rel=0.05)


async def test_use_by_owner(sql, reader_dsn, alice, bob):
    done = make_job(sql, alice, status="completed")
    make_job(sql, alice, status="failed")
    make_job(sql, alice, status="cancelled", created_at=HOUR - timedelta(days=40))
    make_job(sql, bob)
    make_job(sql, bob, status="running")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
        " SELECT %s, n, gen_random_uuid(), now(), now() - interval '90 s', now(), 'completed' FROM generate_series(1, 2) AS n",
        [done],
    )

    found = await rows(reader_dsn, "use_by_owner", days=30)
    most = await rows(reader_dsn, "use_by_owner", max_owners=1)

    columns = ("owner_id", "submitted", "completed", "failed", "cancelled", "unfinished", "attempts", "processing_seconds")
    assert values(found, *columns) == [(alice.id, 2, 1, 1, 0, 0, 2, 180.0), (bob.id, 2, 0, 0, 0, 2, 0, 0.0)]
    assert values(most, "owner_id") == [(alice.id,)]


async def test_stuck_jobs(sql, reader_dsn, alice):
    now = datetime.now(UTC)
    old = make_job(sql, alice, status="running", started_at=now - timedelta(hours=2))
    stubborn = make_job(sql, alice, status="running", cancel_requested_at=now - timedelta(minutes=5))
    silent = make_job(sql, alice, status="running", worker_id=make_worker(sql, lease_seconds=-60))
    gone = make_job(sql, alice, status="running")
    sql.execute("DELETE FROM workers WHERE id = (SELECT worker_id FROM jobs WHERE id = %s)", [gone])
    make_job(sql, alice, status="running")
    make_job(sql, alice, job_type="test.waits", due_at=now - timedelta(minutes=30))
    make_job(sql, alice, job_type="test.waits", due_at=now)
    make_job(sql, alice, job_type="test.later", scheduled_for=now + timedelta(hours=1))

    found = await rows(reader_dsn, "stuck_jobs", running_minutes=60, waiting_minutes=10, stopping_seconds=30)

    assert values(found, "finding", "job_type", "job_id") == [
        ("runs for long", "test.echo", old),
        ("due, and nobody starts them: 2", "test.waits", None),
        ("asked to stop, and runs", "test.echo", stubborn),
        ("its worker is silent", "test.echo", silent),
        ("its worker is silent", "test.echo", gone),
    ]
    assert [float(row["seconds"]) for row in found] == pytest.approx([7200, 1800, 300, 60, 0], abs=30)


async def test_retries_and_lost_workers(sql, reader_dsn):
    make_stats(sql, TODAY, "a", ran=[1.0] * 9, completed=9, attempts_failed=4, attempts_worker_lost=1, failures={"x": 1})
    make_stats(sql, TODAY, "smooth", ran=[1.0] * 9, completed=9)
    make_stats(sql, TODAY - timedelta(days=1), "b", attempts_released=2, attempts_superseded=1, cancelled=1, attempts_cancelled=1)
    make_stats(sql, TODAY - timedelta(days=15), "b", attempts_released=2)

    found = await rows(reader_dsn, "retries_and_lost_workers", days=14)

    columns = (
        "job_type",
        "jobs_finished",
        "attempts",
        "attempts_failed",
        "attempts_worker_lost",
        "attempts_released",
        "attempts_superseded",
    )
    assert values(found, "day", *columns) == [
        (TODAY - timedelta(days=1), "b", 1, 4, 0, 0, 2, 1),
        (TODAY, "a", 10, 14, 4, 1, 0, 0),
    ]


async def test_daily_summary(sql, reader_dsn):
    make_stats(sql, TODAY, "a", ran=[1800.0], completed=2, failures={"x": 1})
    make_stats(sql, TODAY, "b", ran=[3600.0, 1800.0], completed=1)
    make_stats(sql, TODAY - timedelta(days=2), "a", cancelled=4)
    sql.execute("UPDATE job_stats SET completed_removed = completed")

    found = await rows(reader_dsn, "daily_summary", days=30)

    columns = ("completed", "failed", "cancelled", "percent_successful", "processing_hours", "average_seconds", "cleaned_up")
    assert values(found, "day", *columns) == [
        (TODAY - timedelta(days=2), 0, 0, 4, None, 0.0, None, 0),
        (TODAY, 3, 1, 0, 75.0, 2.0, 2400.0, 3),
    ]


async def test_state_drift_finds_each_kind_and_nothing_in_what_is_right(sql, dsn, alice):
    for status in ("pending", "running"):
        make_job(sql, alice, status=status, updated_at=HOUR - timedelta(days=1))
    long_ago = {"updated_at": HOUR - timedelta(hours=2)}
    undelivered = make_job(sql, alice, delivery_id=10**9, **long_ago)
    leaseless = make_job(sql, alice, status="running", worker_id=make_worker(sql, lease_seconds=-3600), **long_ago)
    unclaimed = make_job(sql, alice, status="running")
    sql.execute("DELETE FROM claims WHERE %s = ANY(job_ids)", [unclaimed])
    unpromoted = make_job(sql, alice, scheduled_for=HOUR - timedelta(hours=1))
    forgotten = make_job(sql, alice, status="completed")

    found = await rows(dsn, "state_drift")
    of_none = await rows(dsn, "state_drift", since=(HOUR + timedelta(days=1)).isoformat())

    assert [row["job_id"] for row in of_none] == [unpromoted]  # an index leads to it, whenever it was submitted
    assert {(row["job_id"], row["drift"].partition(",")[2].strip()) for row in found} == {
        (undelivered, "but its delivery is gone"),
        (leaseless, "but its worker has no lease"),
        (unclaimed, "but no claim leads to it"),
        (unpromoted, "and nobody promotes it"),
        (forgotten, "but fewer attempts are on record than were started"),
    }


async def test_attempts_that_a_policy_removed_are_no_drift(db, sql, dsn, alice):
    ids = {}
    for status, days in (("completed", 5), ("failed", 5), ("cancelled", 0)):
        at = HOUR - timedelta(days=days)
        ids[status] = make_job(sql, alice, status=status, created_at=at, completed_at=at)
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
        " SELECT id, 1, worker_id, created_at, created_at, created_at, 'completed' FROM jobs"
    )

    await apply_policy(db, Policy(attempts=timedelta(days=2)))
    sql.execute("DELETE FROM job_attempts WHERE job_id <> %s", [ids["completed"]])

    assert sql.execute("SELECT FROM job_attempts").fetchall() == []
    assert [row["job_id"] for row in await rows(dsn, "state_drift")] == [ids["failed"], ids["cancelled"]]


def file(name: str) -> str:
    return str(sql_directory() / "reports" / f"{name}.sql")


@pytest.mark.parametrize("name", sorted(list_reports()))
def test_psql_runs_every_report_as_it_stands_and_the_role_all_but_those_of_tables(sql, alice, reader_dsn, dsn, name):
    make_stats(sql, HOUR, "a", ran=[1.0] * 9, waited=[1.0] * 9, completed=9, attempts_failed=4, failures={"x": 1})
    make_job(sql, alice, status="running", started_at=HOUR - timedelta(hours=2))

    printed = psql(dsn if name in OF_TABLES else reader_dsn, "--csv", "-f", file(name))

    lines = list(csv.reader(io.StringIO(printed)))
    assert len(lines[0]) >= 3
    assert len(lines) > 1 or name in OF_TABLES


def test_psql_takes_parameters(sql, reader_dsn):
    make_stats(sql, TODAY - timedelta(days=20), "old", ran=[1.0])
    make_stats(sql, TODAY, "new", ran=[1.0])

    all_of_it = psql(reader_dsn, "--csv", "-f", file("slowest_job_types"))
    since = psql(reader_dsn, "--csv", "-v", f"since={TODAY.isoformat()}", "-v", "min_attempts=1", "-f", file("slowest_job_types"))

    assert (all_of_it.count("\n"), since.count("\n")) == (3, 2)
    assert "old" not in since


@pytest.mark.parametrize("name", sorted(list_reports()))
def test_psql_and_report_query_have_the_same_defaults(name):
    text = (sql_directory() / "reports" / f"{name}.sql").read_text(encoding="utf-8")
    declared = re.findall(r"^-- param: (\w+) \w+ = (.*)$", text, re.MULTILINE)

    assert re.findall(r"^\\if :\{\?(\w+)\} \\else \\set (\w+) (\S+) \\endif$", text, re.MULTILINE) == [
        (parameter, parameter, default) for parameter, default in declared
    ]
