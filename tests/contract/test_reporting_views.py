"""The published views are a contract: what is in them stays, what is private stays out, and a range finds its rows by index."""

import re

import psycopg
import pytest

from tests import factories, reporting
from tests.reporting import make_stats

pytestmark = pytest.mark.xdist_group("reporting_role")

_STATS = """
    at timestamptz, job_type text, completed bigint, failed bigint, cancelled bigint, jobs_removed bigint, attempts_completed bigint,
    attempts_failed bigint, attempts_cancelled bigint, attempts_released bigint, attempts_worker_lost bigint, attempts_superseded bigint,
    waiting_seconds_total float8, waiting_seconds_average float8, waiting_seconds_p50 float8, waiting_seconds_p95 float8,
    waiting_seconds_p99 float8, processing_seconds_total float8, processing_seconds_average float8, processing_seconds_p50 float8,
    processing_seconds_p95 float8, processing_seconds_p99 float8"""
_TIMES = "at timestamptz, job_type text, seconds float8, waiting_attempts bigint, processing_attempts bigint"
# Never take a line out of here, and never change one: make a view _v2. Add the columns that were added.
PUBLISHED = {
    "jobs_v1": """id uuid, owner_id uuid, job_type text, queue text, priority int4, status text, progress_percentage int4, attempt int4,
        failed_attempts int4, lost_attempts int4, max_attempts int4, error_code text, scheduled_for timestamptz, due_at timestamptz,
        created_at timestamptz, updated_at timestamptz, started_at timestamptz, completed_at timestamptz,
        cancel_requested_at timestamptz, intervened_by text, worker_id uuid""",
    "attempts_v1": """job_id uuid, number int4, job_type text, owner_id uuid, worker_id uuid, due_at timestamptz, started_at timestamptz,
        ended_at timestamptz, outcome text, error_code text, waiting_seconds float8, processing_seconds float8""",
    "running_now_v1": """job_id uuid, owner_id uuid, job_type text, queue text, attempt int4, worker_id uuid, started_at timestamptz,
        running_seconds float8, progress_percentage int4, cancel_requested_at timestamptz, lease_seconds float8""",
    "queue_now_v1": """job_type text, queue text, due bigint, held bigint, scheduled bigint, running bigint, oldest_due_at timestamptz,
        oldest_due_seconds float8""",
    "workers_v1": """id uuid, host text, pid int4, version text, queues _text, concurrency int4, started_at timestamptz,
        lease_until timestamptz, is_alive bool, is_stopping bool, loop_lag_ms int4, running bigint""",
    "job_stats_by_minute_v1": _STATS,
    "job_stats_by_hour_v1": _STATS,
    "job_stats_by_day_v1": _STATS,
    "job_times_by_minute_v1": _TIMES,
    "job_times_by_hour_v1": _TIMES,
    "job_times_by_day_v1": _TIMES,
    "failures_v1": "at timestamptz, job_type text, error_code text, failed bigint, jobs_removed bigint",
    "jobs_private_v1": """id uuid, title text, description text, tags _text, parameters jsonb, result jsonb, progress_message text,
        error_message text, intervention_reason text""",
    "attempts_private_v1": "job_id uuid, number int4, error_message text, traceback text",
    "owners_private_v1": "owner_id uuid, email text, role text, created_at timestamptz, disabled_at timestamptz",
}
PRIVATE = {name for name in PUBLISHED if "_private_" in name}


def columns(sql: psycopg.Connection) -> dict[str, dict[str, str]]:
    """Name and type of every column of every view there is."""
    found: dict[str, dict[str, str]] = {}
    for row in sql.execute(
        "SELECT relname, attname, typname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_type ON atttypid = pg_type.oid"
        " WHERE relnamespace = 'reporting'::regnamespace AND attnum > 0"
    ):
        found.setdefault(row.relname, {})[row.attname] = row.typname
    return found


def test_no_published_view_lost_or_changed_a_column(sql):
    promised = {name: dict(part.split() for part in text.replace("bigint", "int8").split(",")) for name, text in PUBLISHED.items()}

    there = columns(sql)

    assert {name: lost for name in promised if (lost := promised[name].items() - there.get(name, {}).items())} == {}


def test_every_view_and_column_that_is_there_is_promised_and_commented(sql):
    promised = {name: {part.split()[0] for part in text.split(",")} for name, text in PUBLISHED.items()}
    uncommented = sql.execute(
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relnamespace = 'reporting'::regnamespace"
        " AND attnum > 0 AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid, 'pg_class') IS NULL)"
    ).fetchall()

    assert {name: set(found) for name, found in columns(sql).items()} == promised
    assert uncommented == []


def test_the_views_belong_to_whoever_owns_the_schema_and_read_with_their_rights(sql):
    strange = sql.execute(
        "SELECT relname FROM pg_class, pg_namespace WHERE relnamespace = pg_namespace.oid AND nspname = 'reporting'"
        " AND (relowner <> nspowner OR reloptions::text LIKE '%security_invoker%')"
    ).fetchall()

    assert strange == []


SECRET = "Xsecret"


@pytest.fixture
def full_of_secrets(sql):
    """A job, an attempt and a user with the same word wherever anybody can write one; error codes and names of types are for programs."""
    owner = factories.make_user(sql, f"{SECRET}@example.org", password_hash=f"$argon2id${SECRET}")
    job_id = factories.make_job(
        *(sql, owner),
        status="failed",
        title=SECRET,
        description=SECRET,
        tags=[SECRET],
        parameters=f'{{"{SECRET}": 1}}',
        progress_message=SECRET,
        error_message=SECRET,
        intervened_by="owner",
        intervention_reason=SECRET,
    )
    done = factories.make_job(sql, owner, status="completed", result=f'["{SECRET}"]')
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)"
        " SELECT id, 1, worker_id, due_at, started_at, 'failed', error_code, error_message, error_message FROM jobs WHERE id = %s",
        [job_id],
    )
    sql.execute("INSERT INTO audit_log (verb, job_id, reason) VALUES ('cancel', %s, %s)", [done, SECRET])
    make_stats(sql, sql.execute("SELECT now()").fetchone()[0], failures={"boom": 1})


def test_nothing_anybody_wrote_is_in_a_view_that_is_not_private(full_of_secrets, reader):
    for name in PUBLISHED.keys() - PRIVATE:
        text = str(reader.execute(f"SELECT * FROM reporting.{name}").fetchall())

        assert SECRET not in text, name
    assert reader.execute("SELECT count(*) FROM jobs_v1").fetchone() == (2,)
    assert reader.execute("SELECT count(*) FROM attempts_v1").fetchone() == (1,)


def test_private_views_are_read_only_where_the_administrator_says_so(full_of_secrets, dsn, reader):
    for name in PRIVATE:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"SELECT * FROM reporting.{name}")
    reporting.set_up_reader(dsn, may_read_private=True)
    texts = {name: str(reader.execute(f"SELECT * FROM reporting.{name}").fetchall()) for name in PRIVATE}
    reporting.set_up_reader(dsn)

    assert [name for name, text in texts.items() if SECRET not in text] == []
    assert "argon2id" not in "".join(texts.values())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT * FROM reporting.jobs_private_v1")


@pytest.fixture
def long_history(sql, alice):
    """20,000 finished jobs with an attempt each, a second apart, and a row of each rollup for 20 types and each of 1,000 hours."""
    sql.execute(
        """
        INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, status, due_at, attempt, started_at, worker_id, created_at,
            completed_at)
        SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', 'completed', now(), 1, now(), gen_random_uuid(),
            now() - make_interval(secs => n), now() - make_interval(secs => n)
        FROM generate_series(1, 20000) AS n
        """,
        [alice.id],
    )
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
        " SELECT id, 1, worker_id, due_at, started_at, completed_at, 'completed' FROM jobs"
    )
    for table, column, value in (
        ("job_stats", "completed", "1"),
        ("job_time_stats", "waiting", "'{1,2}'::bigint[]"),
        ("job_failure_stats", "error_code", "'x'"),
    ):
        sql.execute(
            f"""
            INSERT INTO {table} (resolution, at, job_type, {column})
            SELECT resolution, '2026-01-01T00:00:00Z'::timestamptz + n * ('1 ' || resolution)::interval, 'type' || t, {value}
            FROM generate_series(1, 1000) AS n, generate_series(1, 20) AS t,
                unnest(ARRAY['minute', 'hour', 'day']::stat_resolution[]) AS resolution
            """
        )
    sql.execute("ANALYZE")


@pytest.mark.parametrize(
    ("view", "condition", "indexes"),
    [
        ("jobs_v1", "created_at >= now() - interval '1 minute'", {"jobs_newest_idx"}),
        ("jobs_v1", "id = '01900000-0000-7000-8000-000000000000'", {"jobs_pkey"}),
        ("attempts_v1", "ended_at >= now() - interval '1 minute'", {"job_attempts_ended_idx"}),
        ("attempts_v1", "job_id = '01900000-0000-7000-8000-000000000000'", {"job_attempts_pkey", "jobs_pkey"}),
        *(
            (f"job_{kind}_by_{span}_v1", f"at >= '2026-01-01T00:00:00Z'::timestamptz + interval '990 {span}'", indexes)
            for span in ("minute", "hour", "day")
            for kind, indexes in (("stats", {"job_stats_pkey", "job_time_stats_pkey"}), ("times", {"job_time_stats_pkey"}))
        ),
        ("failures_v1", "at >= '2026-01-01T00:00:00Z'::timestamptz + interval '990 hour'", {"job_failure_stats_pkey"}),
    ],
)
def test_a_range_of_time_reaches_the_index(long_history, sql, view, condition, indexes):
    plan = "\n".join(row[0] for row in sql.execute(f"EXPLAIN SELECT * FROM reporting.{view} WHERE {condition}"))

    found = set(re.findall(r"Index (?:Only )?(?:Scan using|Scan on) (\w+)", plan))
    assert indexes <= found, plan
    for table in ("jobs", "job_attempts", "job_stats", "job_time_stats", "job_failure_stats"):
        assert not re.search(rf"Seq Scan on {table}\b", plan) or (view, table) == ("attempts_v1", "jobs"), plan
    assert all(re.search(rf"{name}[^\n]*\n\s+(?:Index|Recheck) Cond", plan) for name in indexes), plan


def test_attempts_are_not_joined_with_jobs_for_columns_nobody_asks_for(sql):
    plan = "\n".join(row[0] for row in sql.execute("EXPLAIN SELECT outcome, count(*) FROM reporting.attempts_v1 GROUP BY outcome"))

    assert "on jobs" not in plan


def test_what_runs_now_is_found_through_the_claims(long_history, sql, alice):
    job_id = factories.make_job(sql, alice, status="running")
    sql.execute("ANALYZE claims")

    plan = "\n".join(row[0] for row in sql.execute("EXPLAIN SELECT * FROM reporting.running_now_v1"))

    assert "jobs_pkey" in plan
    assert "Seq Scan on jobs" not in plan
    assert [row.job_id for row in sql.execute("SELECT job_id FROM reporting.running_now_v1")] == [job_id]
