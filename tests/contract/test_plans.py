"""The hot statements find their rows by index, whether PostgreSQL knows the values or plans for any."""

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.domain.jobs import JobStatus
from jobhub.store import listing
from jobhub.store.dispatch import FRONT, PLANNER_SETTINGS
from jobhub.store.listing import JobFilter
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
OF_WORKERS = {
    "promote_jobs",
    "claim_jobs",
    "claim_jobs_within_limit",
    "finish_jobs",
    "rescue_jobs",
    "forget_claims",
    "list_running_jobs",
    "repair_deliveries",
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
    "clean_up_jobs": {"cutoff": NOW - timedelta(days=30), "statuses": ["completed"]},
    "oldest_due": {},
    "count_ended_attempts": {"since": NOW - timedelta(seconds=15), "until": NOW},
    "count_finishes": {"since": NOW - timedelta(seconds=15), "until": NOW},
}
# A sequential scan, or one of an index from one end to the other.
_WHOLE_SCAN = re.compile(
    r"((?:Seq Scan|(?<!Bitmap )Index(?: Only)? Scan using \w+) on (?:jobs|procrastinate_jobs)\b)[^\n]*\n(?!\s+Index Cond)"
)
_SCAN = re.compile(r"Seq Scan on (?:jobs|job_attempts|procrastinate_jobs)\b.*")


@pytest.fixture
def many_jobs(sql, alice):
    """20,000 jobs, most of them completed, of a hundred users; a tenth waits, a few run."""
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


class Composed:
    """Takes down what `store.listing` would run."""

    async def fetch_composed(self, sql, values):
        self.sql, self.values = sql, values
        return [{"total": 0}]


@pytest.mark.parametrize("part", ["first page", "next page"])
async def test_a_page_of_ones_own_jobs_is_read_in_the_order_of_its_index(sql, alice, many_jobs, part):
    composed = Composed()
    after = (NOW, ONE) if part == "next page" else None
    with pytest.raises((KeyError, AttributeError, TypeError)):  # there is no row to make a job of
        await listing.list_jobs(composed, JobFilter(owner_id=alice.id), offset=0, limit=21, after=after)

    text = plan(sql, composed.sql, composed.values)

    assert "jobs_newest_of_owner_idx" in text
    assert not _SCAN.search(text)
    assert "Sort" not in text


async def test_the_total_of_ones_own_jobs_is_counted_by_index(sql, alice, many_jobs):
    composed = Composed()
    await listing.count_jobs(composed, JobFilter(owner_id=factories.new_id(), statuses=(JobStatus.FAILED,)))

    assert not _SCAN.search(plan(sql, composed.sql, composed.values))
