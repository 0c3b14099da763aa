"""The hot statements find their rows by index, whether PostgreSQL knows the values or plans for any."""

import re

import pytest

from jobhub.store.dispatch import PLANNER_SETTINGS
from jobhub.store.statements import statements
from tests.contract.plans import HOT, NOT_PINNED, OF_ACCOUNTS, OF_WORKERS, ONE, STATE, STATISTICS, generic_plan, plan

# A sequential scan, or one of an index from one end to the other.
_WHOLE_SCAN = re.compile(
    r"((?:Seq Scan|(?<!Bitmap )Index(?: Only)? Scan using \w+) on (?:jobs|procrastinate_jobs|job_\w*stats)\b)[^\n]*\n(?!\s+Index Cond)"
)
_WHOLE_SCAN_OF_ANY = re.compile(r"((?:Seq Scan|(?<!Bitmap )Index(?: Only)? Scan using \w+) on \w+)[^\n]*\n(?!\s+Index Cond)")
_ACTIVE_ADMINISTRATORS = "users_active_administrators_idx"  # has nobody else in it
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
    sql.execute("INSERT INTO job_time_stats " + spans.format(", waiting", ", '{1,2}'"))
    sql.execute("INSERT INTO job_failure_stats " + spans.format(", error_code", ", 'boom'"))


@pytest.fixture
def many_jobs(sql, new_jobs):
    """The same, analysed."""
    sql.execute("ANALYZE")


@pytest.fixture
def many_accounts(sql):
    """5,000 of all that is looked at to know who asks, analysed."""
    sql.execute(
        "INSERT INTO users (id, email, password_hash, role)"
        " SELECT gen_random_uuid(), n || '@many.example.org', '$argon2id$x', CASE WHEN n < 9 THEN 'admin' ELSE 'user' END::user_role"
        " FROM generate_series(1, 5000) AS n"
    )
    of_users = "SELECT {} FROM (SELECT id, row_number() OVER () AS n, now() + interval '1 h' AS soon FROM users) AS its"
    for table, columns, values in (
        ("refresh_tokens", "id, family_id, user_id, secret_sha256, expires_at", "gen_random_uuid(), gen_random_uuid(), id, {sha}, soon"),
        ("sessions", "id_sha256, user_id, expires_at", "{sha}, id, soon"),
        ("stream_tickets", "secret_sha256, user_id, expires_at", "{sha}, id, soon"),
        ("idempotency_keys", "owner_id, key, body_sha256, job_id, expires_at", "id, 'k', {sha}, gen_random_uuid(), soon"),
        ("login_failures", "email_sha256, failures, last_failed_at", "{sha}, 1, now()"),
        ("login_failures_by_network", "network, failures", "('10.0.0.0'::inet + n)::cidr, 1"),
        (
            "login_failures_by_account_and_network",
            "email_sha256, network, failures, last_failed_at",
            "{sha}, ('10.0.0.0'::inet + n)::cidr, 1, now()",
        ),
    ):
        made = of_users.format(values.format(sha="sha256(n::text::bytea)"))
        sql.execute(f"INSERT INTO {table} ({columns}) {made}")
    sql.execute("ANALYZE")


def test_every_statement_has_a_pinned_plan_or_a_reason_why_not():
    pinned = HOT.keys() | OF_ACCOUNTS.keys() | set(STATE)

    assert statements().keys() - pinned == NOT_PINNED.keys()
    assert pinned - statements().keys() == set()


def test_who_asks_is_found_by_index(sql, many_accounts):
    scans = {}
    for name, values in OF_ACCOUNTS.items():
        statement = statements()[name]
        texts = [plan(sql, statement.sql, [values[parameter] for parameter in statement.parameters])]
        if sql.info.server_version >= 160000:
            texts.append(generic_plan(sql, statement.sql))
        found = [scan for text in texts for scan in _WHOLE_SCAN_OF_ANY.findall(text + "\n") if _ACTIVE_ADMINISTRATORS not in scan]
        scans |= {name: "\n".join(texts)} if found else {}

    assert scans == {}, "\n".join(scans.values())


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
@pytest.mark.parametrize("name", STATE)
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
