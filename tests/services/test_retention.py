"""The policy as one of all workers applies it: once an hour, alone, on record as done by nobody."""

import asyncio
from datetime import UTC, datetime, timedelta

from jobhub.domain.retention import read_rules
from jobhub.services.retention import Policy, Removed, apply_policy
from tests import factories
from tests.factories import make_job

NOW = datetime.now(UTC)
LOCK = 7203641858


def finished(sql, owner, status, *, days, **columns):
    at = NOW - timedelta(days=days)
    return make_job(sql, owner, status=status, created_at=at, completed_at=at, **columns)


def ids(sql):
    return {row.id for row in sql.execute("SELECT id FROM jobs").fetchall()}


def an_hour_passes(sql):
    sql.execute("UPDATE upkeep SET began_at = began_at - interval '1 hour'")


async def test_each_job_goes_by_its_rule_and_all_others_stay(db, sql, alice):
    going = {
        finished(sql, alice, "completed", days=91),
        finished(sql, alice, "cancelled", days=31),
        finished(sql, alice, "completed", days=8, job_type="mail"),
        finished(sql, alice, "failed", days=8, job_type="mail"),
    }
    staying = {
        finished(sql, alice, "completed", days=89),
        finished(sql, alice, "cancelled", days=29),
        finished(sql, alice, "failed", days=1000),
        finished(sql, alice, "completed", days=6, job_type="mail"),
        finished(sql, alice, "completed", days=1000, pinned_at=NOW),
        finished(sql, alice, "completed", days=1000, job_type="ledger"),
        make_job(sql, alice),
    }
    text = "completed=90d, cancelled=30d, mail:completed=7d, mail:failed=7d, ledger:completed=keep"

    removed = await apply_policy(db, Policy(rules=read_rules(text)))

    assert removed == Removed(jobs=4, attempts=0, audit_entries=0)
    assert ids(sql) == staying
    assert not going & staying
    [entry] = sql.execute("SELECT * FROM audit_log").fetchall()
    assert (entry.actor_id, entry.verb, entry.request_id) == (None, "clean_up", None)
    assert entry.details == {"policy": text, "deleted": {"mail": 2, "test.echo": 2}}


async def test_attempts_and_the_audit_log_have_ages_of_their_own(db, sql, alice):
    job_id = finished(sql, alice, "completed", days=50)
    for number, days in ((1, 40), (2, 20)):
        sql.execute(
            "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
            " VALUES (%s, %s, %s, now(), now(), %s, 'completed')",
            [job_id, number, factories.new_id(), NOW - timedelta(days=days)],
        )
    sql.execute(
        "INSERT INTO audit_log (verb, at) SELECT 'cancel', now() - make_interval(days => 500 - n % 200) FROM generate_series(1, 2600) AS n"
    )

    removed = await apply_policy(db, Policy(attempts=timedelta(days=30), audit=timedelta(days=299)))

    assert removed == Removed(jobs=0, attempts=1, audit_entries=2600)
    assert ids(sql) == {job_id}
    assert [row.number for row in sql.execute("SELECT number FROM job_attempts").fetchall()] == [2]


async def test_it_is_applied_once_an_hour_whoever_asks(db, sql, alice):
    policy = Policy(rules=read_rules("completed=1h"))

    first = await asyncio.gather(*(apply_policy(db, policy) for _ in range(4)))
    finished(sql, alice, "completed", days=1)
    too_early = await apply_policy(db, policy)
    an_hour_passes(sql)
    in_time = await apply_policy(db, policy)

    assert [removed.jobs for removed in first if removed] == [0]
    assert (too_early, in_time and in_time.jobs) == (None, 1)


async def test_it_stands_back_while_a_clean_up_runs_and_is_not_late_for_it(db, sql, alice):
    finished(sql, alice, "completed", days=1)
    policy = Policy(rules=read_rules("completed=1h"))
    sql.execute("SELECT pg_advisory_lock(%s)", [LOCK])

    meanwhile = await apply_policy(db, policy)
    sql.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    afterwards = await apply_policy(db, policy)

    assert (meanwhile, afterwards and afterwards.jobs) == (None, 1)


def test_a_policy_that_says_nothing_is_none():
    assert not Policy()
    assert Policy(audit=timedelta(days=30))
    assert Policy(rules=read_rules("mail:failed=7d, completed=1d")).job_types == {"mail"}
