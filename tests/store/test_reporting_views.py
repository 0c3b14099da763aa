"""The figures in the published views, on data whose answer is known."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import make_job, make_worker
from tests.reporting import make_stats

AT = datetime(2026, 11, 23, 10, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("span", "start"), [("minute", (10, 31)), ("hour", (10, 0)), ("day", (0, 0))])
def test_counts_times_and_percentiles_of_a_span(sql, span, start):
    ran = [n / 10 for n in range(1, 101)]
    make_stats(sql, AT, ran=ran, waited=[0.2] * 98 + [5, 50], completed=90, failures={"boom": 10}, attempts_worker_lost=2)
    sql.execute("UPDATE job_stats SET completed_removed = 40, failed_removed = 1")

    [row] = sql.execute(f"SELECT * FROM reporting.job_stats_by_{span}_v1").fetchall()

    assert row.at == datetime(2026, 11, 23, *start, tzinfo=UTC)
    assert (row.completed, row.failed, row.cancelled, row.jobs_removed) == (90, 10, 0, 41)
    assert (row.attempts_completed, row.attempts_worker_lost) == (100, 2)
    assert row.processing_seconds_total == pytest.approx(505.0)
    assert row.processing_seconds_average == pytest.approx(5.05)
    percentiles = (row.processing_seconds_p50, row.processing_seconds_p95, row.processing_seconds_p99)
    assert percentiles == pytest.approx((5.0, 9.5, 9.9), rel=0.05)
    assert (row.waiting_seconds_p50, row.waiting_seconds_p95, row.waiting_seconds_p99) == pytest.approx((0.2, 0.2, 5.0), rel=0.05)


def test_a_span_without_times_has_no_average_and_no_percentiles(sql):
    make_stats(sql, AT, cancelled=3)

    [row] = sql.execute("SELECT * FROM reporting.job_stats_by_hour_v1").fetchall()

    assert row.cancelled == 3
    assert [row.processing_seconds_average, row.processing_seconds_p50, row.waiting_seconds_average, row.waiting_seconds_p99] == [None] * 4


def test_types_and_spans_are_kept_apart(sql):
    make_stats(sql, AT, "a", ran=[1.0], completed=1)
    make_stats(sql, AT, "b", ran=[100.0], completed=2)
    make_stats(sql, AT + timedelta(hours=1), "a", ran=[10.0], completed=3)

    rows = sql.execute("SELECT * FROM reporting.job_stats_by_hour_v1 ORDER BY at, job_type").fetchall()

    assert [(row.job_type, row.completed) for row in rows] == [("a", 1), ("b", 2), ("a", 3)]
    assert [row.processing_seconds_p99 for row in rows] == pytest.approx([1.0, 100.0, 10.0], rel=0.05)


def test_histograms_can_be_added_up(sql):
    make_stats(sql, AT, "a", ran=[1.0, 1.0, 60.0], waited=[1.0])
    make_stats(sql, AT, "b", ran=[1.0])

    rows = sql.execute(
        "SELECT round(seconds) AS seconds, sum(processing_attempts) AS ran, sum(waiting_attempts) AS waited"
        " FROM reporting.job_times_by_day_v1 GROUP BY 1 ORDER BY 1"
    ).fetchall()

    assert [tuple(row) for row in rows] == [(1, 3, 1), (60, 1, 0)]


def test_failures_are_counted_by_hour_type_and_code(sql):
    make_stats(sql, AT, failures={"boom": 3, "timeout": 1})
    make_stats(sql, AT + timedelta(minutes=20), failures={"boom": 2})

    rows = sql.execute("SELECT error_code, failed FROM reporting.failures_v1 ORDER BY error_code").fetchall()

    assert [tuple(row) for row in rows] == [("boom", 5), ("timeout", 1)]


def test_the_queue_shows_what_is_due_held_scheduled_and_running(sql, alice):
    hour_ago, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    make_job(sql, alice, due_at=hour_ago)
    held = make_job(sql, alice, due_at=hour_ago - timedelta(hours=1))
    make_job(sql, alice)
    make_job(sql, alice, scheduled_for=later)
    make_job(sql, alice, scheduled_for=hour_ago + timedelta(minutes=59))
    make_job(sql, alice, status="running")
    make_job(sql, alice, status="failed")
    make_job(sql, alice, job_type="test.other", status="running")
    sql.execute("UPDATE procrastinate_jobs SET held = true WHERE id = (SELECT delivery_id FROM jobs WHERE id = %s)", [held])

    rows = sql.execute("SELECT * FROM reporting.queue_now_v1 ORDER BY job_type").fetchall()

    assert [(row.job_type, row.due, row.held, row.scheduled, row.running) for row in rows] == [
        ("test.echo", 4, 1, 1, 1),
        ("test.other", 0, 0, 0, 1),
    ]
    assert rows[0].oldest_due_at == hour_ago
    assert 3600 <= rows[0].oldest_due_seconds < 3660
    assert rows[1].oldest_due_at is None


def test_workers_show_their_lease_and_what_they_run(sql, alice):
    busy, dead = make_worker(sql), make_worker(sql, lease_seconds=-20)
    make_job(sql, alice, status="running", worker_id=busy)
    make_job(sql, alice, status="completed", worker_id=dead)

    rows = {row.id: row for row in sql.execute("SELECT * FROM reporting.workers_v1")}

    assert (rows[busy].is_alive, rows[busy].running) == (True, 1)
    assert (rows[dead].is_alive, rows[dead].running) == (False, 0)


def test_attempts_show_how_long_they_waited_and_ran(sql, alice):
    job_id = make_job(sql, alice, status="completed")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
        " VALUES (%s, 1, gen_random_uuid(), %s, %s, %s, 'completed'), (%s, 2, gen_random_uuid(), %s, %s, %s, 'released')",
        [job_id, AT, AT + timedelta(seconds=2), AT + timedelta(seconds=5), job_id, AT, AT - timedelta(seconds=2), AT],
    )

    rows = sql.execute("SELECT * FROM reporting.attempts_v1 ORDER BY number").fetchall()

    assert [(row.job_type, row.owner_id, row.outcome) for row in rows] == [
        ("test.echo", alice.id, "completed"),
        ("test.echo", alice.id, "released"),
    ]
    assert [(row.waiting_seconds, row.processing_seconds) for row in rows] == [(2.0, 3.0), (0.0, 2.0)]
