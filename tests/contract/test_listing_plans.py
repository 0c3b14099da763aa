"""Each filter of a list leads to its rows by an index: nothing is read to be thrown away."""

import re
from datetime import UTC, datetime

import psycopg
import pytest

from jobhub.domain.jobs import JobStatus
from jobhub.postgres.migrations import migrate
from jobhub.store import listing
from jobhub.store.database import Database
from jobhub.store.matching import JobFilter
from tests import factories

LIMIT = 21
_NOT_BY_INDEX = re.compile(r"Seq Scan on (?:jobs|tagged_jobs)\b.*")
_REMOVED = re.compile(r"Rows Removed by (?:Join )?Filter: (\d+)")
_ROWS = re.compile(r"\(actual rows=(\d+)")


@pytest.fixture
def history(sql, alice):
    """30,000 jobs of thirty users, some of them failed, a hundred pending, thirty running; tags on some. One in a thousand is rare."""
    sql.execute(
        "INSERT INTO users (id, email, password_hash, role)"
        " SELECT gen_random_uuid(), n || '@example.org', '$argon2id$x', 'user' FROM generate_series(1, 29) AS n"
    )
    factories.make_worker(sql)
    sql.execute(
        """
        INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, tags, status, due_at, delivery_id, attempt,
            started_at, worker_id, created_at, completed_at, error_code, error_message)
        SELECT gen_random_uuid(), owners.ids[1 + n % 30], CASE WHEN n % 1000 = 0 THEN 'test.rare' ELSE 'test.type' || n / 30 % 7 END,
            'default', CASE n WHEN 77 THEN 'A needle' ELSE 'Report ' || n END, '{}',
            CASE WHEN n % 1000 = 0 THEN ARRAY['rare', 'often'] WHEN n % 4 = 0 THEN ARRAY['often'] ELSE '{}' END,
            status::job_status, now(), CASE status WHEN 'pending' THEN n END,
            (status <> 'pending')::int, now(), (SELECT id FROM workers), now() - make_interval(secs => n),
            CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN now() END,
            CASE status WHEN 'failed' THEN 'boom' END, CASE status WHEN 'failed' THEN 'boom' END
        FROM (
            SELECT n, CASE
                WHEN n > 29970 THEN 'running' WHEN n > 28000 AND n / 30 % 10 = 1 THEN 'pending'
                WHEN n / 30 % 40 = 5 THEN 'failed' WHEN n / 30 % 500 = 9 THEN 'cancelled' ELSE 'completed'
            END AS status
            FROM generate_series(1, 30000) AS n
        ) AS made
        CROSS JOIN (SELECT array_agg(id ORDER BY email <> 'alice@example.org', id) AS ids FROM users) AS owners
        """
    )
    sql.execute("SELECT count(deliver_job(id, job_type, queue, priority, owner_id)) FROM jobs WHERE status = 'pending'")
    sql.execute(
        "INSERT INTO claims (worker_id, job_ids) SELECT worker_id, array_agg(id) FROM jobs WHERE status = 'running' GROUP BY worker_id"
    )
    sql.execute("VACUUM ANALYZE jobs, tagged_jobs, claims, procrastinate_jobs, users")
    return alice.id


class Composed:
    """Runs what `store.listing` composes, and explains it."""

    def __init__(self, sql: psycopg.Connection) -> None:
        self.plans: list[str] = []
        self._cursor = psycopg.RawCursor(sql, row_factory=psycopg.rows.dict_row)

    async def fetch_composed(self, sql, values):
        explained = self._cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}".encode(), values).fetchall()
        self.plans.append("\n".join(row["QUERY PLAN"] for row in explained))
        return self._cursor.execute(sql.encode(), values).fetchall()


OF_ONE = {
    "no filter": ({}, "jobs_newest_of_owner_idx"),
    "failed": ({"statuses": (JobStatus.FAILED,)}, "jobs_unsuccessful_of_owner_idx"),
    "cancelled": ({"statuses": (JobStatus.CANCELLED,)}, "jobs_unsuccessful_of_owner_idx"),
    "failed or cancelled": ({"statuses": (JobStatus.FAILED, JobStatus.CANCELLED)}, "jobs_unsuccessful_of_owner_idx"),
    "one type": ({"job_types": ("test.type3",)}, "jobs_of_owner_by_type_idx"),
    "two types": ({"job_types": ("test.type3", "test.rare", "test.rare")}, "jobs_of_owner_by_type_idx"),
    "a frequent tag": ({"tags": ("often",)}, "tagged_jobs_pkey"),
    "a rare tag": ({"tags": ("rare",)}, "tagged_jobs_pkey"),
}
OF_ALL = {
    "no filter": ({}, "jobs_newest_idx"),
    "failed": ({"statuses": (JobStatus.FAILED,)}, "jobs_unsuccessful_idx"),
    "one type": ({"job_types": ("test.rare",)}, "jobs_by_type_idx"),
    "a frequent tag": ({"tags": ("often",)}, "tagged_jobs_newest_idx"),
    "a rare tag": ({"tags": ("rare",)}, "tagged_jobs_newest_idx"),
    "a word of a title": ({"text": "NEEDLE"}, "jobs_title_idx"),
}


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("whose", ["one's own", "everybody's"])
async def test_a_page_and_its_total_are_found_by_index_and_in_its_order(sql, history, whose, oldest_first):
    filters, owner_id = (OF_ONE, history) if whose == "one's own" else (OF_ALL, None)
    for name, (parts, index) in filters.items():
        composed, where = Composed(sql), JobFilter(owner_id=owner_id, oldest_first=oldest_first, **parts)

        assert await listing.list_jobs(composed, where, offset=0, limit=LIMIT, after=None)
        first = (datetime(2000, 1, 1, tzinfo=UTC) if oldest_first else datetime.now(UTC), history)
        await listing.list_jobs(composed, where, offset=20, limit=LIMIT, after=first)
        await listing.count_jobs(composed, where)

        assert len(composed.plans) == 3, name
        for plan in composed.plans:
            assert not _NOT_BY_INDEX.search(plan), f"{name}\n{plan}"
            assert sum(int(rows) for rows in _REMOVED.findall(plan)) <= LIMIT, f"{name}\n{plan}"
        for plan in composed.plans[:2]:
            assert index in plan, f"{name}\n{plan}"
            assert all(int(rows) <= 3 * LIMIT for rows in _ROWS.findall(plan)), f"{name}\n{plan}"


@pytest.mark.parametrize("whose", ["one's own", "everybody's"])
@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.RUNNING])
async def test_what_waits_and_what_runs_is_looked_up_job_by_job(sql, history, status, whose):
    composed, where = Composed(sql), JobFilter(owner_id=history if whose == "one's own" else None, statuses=(status,))

    await listing.list_jobs(composed, where, offset=0, limit=LIMIT, after=None)
    await listing.count_jobs(composed, where)

    for plan in composed.plans:
        assert not re.search(r"Seq Scan on jobs\b", plan), plan
        assert sum(int(rows) for rows in _REMOVED.findall(plan)) <= 200, plan


async def test_completed_jobs_are_counted_without_reading_them(sql, history):
    composed = Composed(sql)

    total = await listing.count_jobs(composed, JobFilter(owner_id=history, statuses=(JobStatus.COMPLETED,)))

    counted = sql.execute("SELECT count(*) FROM jobs WHERE owner_id = %s AND status = 'completed'", [history]).fetchone()
    assert total == (*counted, False)
    assert "Index Only Scan using jobs_newest_of_owner_idx" in composed.plans[-1]
    assert not _NOT_BY_INDEX.search(composed.plans[-1])


async def test_without_the_extension_titles_are_searched_all_the_same(empty_dsn):
    with psycopg.connect(empty_dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as sql:
        sql.execute("CREATE FUNCTION similarity(text, text) RETURNS real LANGUAGE sql AS 'SELECT 1.0::real'")  # in its way
        migrate(empty_dsn)
        job_id = factories.make_job(sql, factories.make_user(sql, "alice@example.org"), title="A needle")

        async with Database.open(empty_dsn, max_size=1, application_name="tests") as db:
            found = await listing.list_jobs(db, JobFilter(text="NEEDLE"), offset=0, limit=LIMIT, after=None)

        assert [owned.job.id for owned in found] == [job_id]
        assert sql.execute("SELECT to_regclass('jobs_title_idx') AS index").fetchone().index is None


def test_of_all_updates_of_a_job_only_its_failure_writes_an_index(sql, alice):
    """Heap-only updates are what lets a worker record ten thousand jobs a second."""
    job_id = factories.make_job(sql, alice, tags=["a"])
    hot = "SELECT pg_stat_get_xact_tuples_hot_updated('jobs'::regclass) AS updates"
    steps = [
        ("status = 'running', attempt = 1, started_at = now(), worker_id = gen_random_uuid(), delivery_id = NULL", 1),
        ("progress_percentage = 50, version = version + 1", 2),
        ("status = 'failed', completed_at = now(), error_code = 'boom', error_message = 'boom'", 2),
        ("status = 'completed', error_code = NULL, error_message = NULL", 2),
        ("updated_at = now()", 3),
    ]

    with sql.transaction():
        for change, updates in steps:
            sql.execute(f"UPDATE jobs SET {change} WHERE id = %s", [job_id])

            assert sql.execute(hot).fetchone().updates == updates, change
