"""The hot statements find their rows by index, whether PostgreSQL knows the values or plans for any."""

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.store.dispatch import FRONT, PLANNER_SETTINGS
from jobhub.store.statements import statements
from tests import factories

NOW = datetime.now(UTC)
ONE = factories.new_id()
BY = {"actor_id": None, "reason": None, "request_id": None}
OUTCOMES = {
    "job_ids": [ONE],
    "attempts": [1],
    "outcomes": ["completed"],
    "statuses": ["completed"],
    "results": [None],
    "error_codes": [None],
    "error_messages": [None],
    "tracebacks": [None],
    "delays_seconds": [0.0],
}
SUBMITS = {
    "ids": [ONE],
    "owner_ids": [ONE],
    "job_types": ["test.echo"],
    "queues": ["default"],
    "titles": ["x"],
    "descriptions": [None],
    "parameters": ["{}"],
    "tags": ["[]"],
    "priorities": [0],
    "max_attempts": [1],
    "scheduled_for": [None],
    "keys": ["k"],
    "bodies_sha256": [b"1" * 32],
    "max_per_minute": 600,
    "max_pending": 10_000,
}
LONG_AGO = NOW - timedelta(days=365)
OLD = {
    "after_at": LONG_AGO,
    "after_id": ONE,
    "rule_types": [None],
    "rule_statuses": ["completed"],
    "cutoffs": [NOW - timedelta(hours=1)],
}
OF_NOBODY = {"actor_id": None, "request_id": None, "details": "{}"}
OF_WORKERS = {
    "promote_jobs",
    "claim_jobs",
    "claim_jobs_within_limit",
    "finish_jobs",
    "rescue_jobs",
    "forget_claims",
    "list_running_jobs",
    "repair_deliveries",
    "fold_job_stats",
    "remove_old_job_stats",
}
WINDOW = {
    "resolutions": ["minute", "hour", "day"],
    "begins": [NOW - timedelta(hours=1), NOW, NOW],
    "ends": [NOW, NOW, None],
    "since": NOW - timedelta(hours=1),
}
STATISTICS = {
    "count_finished": WINDOW,
    "measure_attempts": WINDOW,
    "throughput": {"resolution": "minute", "since": NOW - timedelta(hours=1), "bucket_seconds": 60.0},
    "first_counted_at": {},
    "count_failures": WINDOW,
}
CLAIM = {"worker_id": ONE, "queues": ["default"], "known_types": ["test.echo"], "slots": 20, "after_rank": FRONT.rank, "after_id": 0}
HOT = {
    "submit_jobs": SUBMITS,
    "promote_jobs": {},
    "claim_jobs": CLAIM,
    "claim_jobs_within_limit": {**CLAIM, "max_running": 5},
    "finish_jobs": OUTCOMES,
    "report_progress": {"job_id": ONE, "attempt": 1, "percentage": 5, "message": None},
    "rescue_jobs": {},
    "forget_claims": {"worker_id": ONE},
    "repair_deliveries": {"before_id": ONE},
    "list_running_jobs": {"worker_id": ONE},
    "get_job": {"job_id": ONE, "owner_id": ONE},
    "changed_jobs": {"job_ids": [ONE], "versions": [1]},
    "newest_marks_of_owners": {"owner_ids": [ONE]},
    "newest_job_of_owners": {"owner_ids": [ONE]},
    "count_newest_jobs_of_owner": {"owner_id": ONE, "limit": 2000},
    "get_jobs": {"job_ids": [ONE], "owner_ids": [ONE]},
    "list_attempts": {"job_id": ONE},
    "get_usage": {"owner_id": ONE},
    "queue_places": {"job_ids": [ONE]},
    "cancel_job": {"job_id": ONE, "owner_id": ONE, **BY},
    "retry_job": {"job_id": ONE, "owner_id": ONE, **BY},
    "force_complete_job": {"job_id": ONE, "result": None, **BY},
    "pin_job": {"job_id": ONE, **BY},
    "unpin_job": {"job_id": ONE, **BY},
    "clean_up_jobs": {**OLD, **OF_NOBODY},
    "count_jobs_to_clean_up": OLD,
    "remove_old_attempts": {"cutoff": NOW - timedelta(hours=1), "after_at": LONG_AGO, "after_id": ONE, "after_number": 0, "details": "{}"},
    "oldest_due": {},
    **STATISTICS,
    "fold_job_stats": {},
    "remove_old_job_stats": {"resolution": "minute"},
    "count_ended_attempts": {"since": NOW - timedelta(seconds=15), "until": NOW},
    "count_finishes": {"since": NOW - timedelta(seconds=15), "until": NOW},
}
# A sequential scan, or one of an index from one end to the other.
_WHOLE_SCAN = re.compile(
    r"((?:Seq Scan|(?<!Bitmap )Index(?: Only)? Scan using \w+) on (?:jobs|procrastinate_jobs|job_\w*stats)\b)[^\n]*\n(?!\s+Index Cond)"
)
_SCAN = re.compile(r"Seq Scan on (?:jobs|job_attempts|procrastinate_jobs|job_\w*stats)\b.*")


@pytest.fixture
def new_jobs(sql, alice):
    """20,000 jobs, most of them completed, of a hundred users; a tenth waits, a few run. PostgreSQL has not looked at them yet."""
    sql.execute(
        "INSERT INTO users (id, email, password_hash, role)"
        " SELECT gen_random_uuid(), n || '@example.org', '$argon2id$x', 'user' FROM generate_series(1, 99) AS n"
    )
    sql.execute(
        """
        INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, status, due_at, delivery_id, attempt, started_at, worker_id,
            created_at, completed_at)
        SELECT gen_random_uuid(), owners.ids[1 + n % 100], 'test.echo', 'default', 'x', '{}', status::job_status, now(),
            CASE status WHEN 'pending' THEN n END, (status <> 'pending')::int, now(), gen_random_uuid(),
            now() - make_interval(secs => n), CASE status WHEN 'completed' THEN now() - make_interval(secs => n) END
        FROM (
            SELECT n, CASE WHEN n % 10 = 0 THEN 'pending' WHEN n % 1000 = 1 THEN 'running' ELSE 'completed' END AS status
            FROM generate_series(1, 20000) AS n
        ) AS made
        CROSS JOIN (SELECT array_agg(id ORDER BY id) AS ids FROM users) AS owners
        """
    )
    sql.execute("SELECT count(deliver_job(id, job_type, queue, priority)) FROM jobs WHERE status = 'pending'")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome)"
        " SELECT id, 1, worker_id, due_at, started_at, 'completed' FROM jobs WHERE status = 'completed'"
    )
    spans = "(resolution, at, job_type{}) SELECT 'minute', now() - n * interval '1 min', 'test.echo'{} FROM generate_series(1, 9000) AS n"
    sql.execute("INSERT INTO job_stats " + spans.format("", ""))
    sql.execute("INSERT INTO job_time_stats " + spans.format(", bucket", ", 9"))
    sql.execute("INSERT INTO job_failure_stats " + spans.format(", error_code", ", 'boom'"))


@pytest.fixture
def many_jobs(sql, new_jobs):
    """The same, analysed."""
    sql.execute("ANALYZE")


def plan(sql, text: str, values: list) -> str:
    cursor = psycopg.RawCursor(sql, row_factory=psycopg.rows.tuple_row)
    return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {text}".encode(), values).fetchall())


def generic_plan(sql, text: str) -> str:
    cursor = sql.cursor(row_factory=psycopg.rows.tuple_row)
    return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode()).fetchall())


def test_no_hot_statement_scans_a_table(sql, many_jobs):
    scans = {}
    for name in HOT.keys() - OF_WORKERS:
        values, statement = HOT[name], statements()[name]
        plans = {"custom": plan(sql, statement.sql, [values[parameter] for parameter in statement.parameters])}
        if sql.info.server_version >= 160000:
            plans["generic"] = generic_plan(sql, statement.sql)
        scans |= {f"{name} ({kind})": found[0] for kind, text in plans.items() if (found := _SCAN.findall(text))}

    assert scans == {}


def test_statistics_are_read_without_a_look_at_jobs(sql, many_jobs):
    for name, values in STATISTICS.items():
        statement = statements()[name]
        text = plan(sql, statement.sql, [values[parameter] for parameter in statement.parameters])

        assert not re.search(r" on (jobs|job_attempts)\b", text), name
        assert re.search(r"Scan (using|on) job_\w*stats_pkey", text), text


@pytest.mark.parametrize("jobs", ["new_jobs", "many_jobs"])
@pytest.mark.parametrize("name", ["oldest_due", "count_pending", "count_running", "dispatch_lags", "list_workers"])
def test_the_state_of_the_queue_is_read_without_a_look_at_all_jobs(sql, request, jobs, name):
    request.getfixturevalue(jobs)

    text = plan(sql, statements()[name].sql, [])

    assert not re.search(r"Seq Scan on jobs\b", text), text


@pytest.mark.parametrize("are_there_jobs", [True, False], ids=["many jobs", "empty tables"])
def test_workers_look_up_each_job_by_its_key_even_with_a_plan_made_when_there_was_none(sql, request, are_there_jobs):
    """A plan is kept for as long as nothing tells PostgreSQL better, and by then there may be a million jobs."""
    if are_there_jobs:
        request.getfixturevalue("many_jobs")
    for name, value in PLANNER_SETTINGS.items():
        sql.execute(f"SET {name} = {value}")
    scans = {}
    for name in OF_WORKERS:
        statement = statements()[name]
        texts = [plan(sql, statement.sql, [HOT[name][parameter] for parameter in statement.parameters])]
        if sql.info.server_version >= 160000:
            texts.append(generic_plan(sql, statement.sql))
        scans |= {f"{name}: {found}": text for text in texts for found in _WHOLE_SCAN.findall(text)}

    assert scans == {}, "\n".join(scans.values())


@pytest.mark.parametrize("are_there_jobs", [True, False], ids=["many jobs", "empty tables"])
def test_what_limits_count_is_found_by_index_even_with_a_plan_made_when_there_was_nothing(sql, request, are_there_jobs):
    """The functions of get_usage are those of refused_submits(), whose own plans EXPLAIN doesn't show."""
    if are_there_jobs:
        request.getfixturevalue("many_jobs")
    sql.execute("SET enable_seqscan = off")

    text = plan(sql, statements()["get_usage"].sql, [ONE])

    assert _WHOLE_SCAN.findall(text) == []
    assert all(name in text for name in ("jobs_newest_of_owner_idx", "jobs_scheduled_of_owner_idx", "deliveries_of_owner_idx"))
