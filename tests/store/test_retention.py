"""Removing what is old: which jobs each batch takes, what it counts, what it meets while others change them."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product

import msgspec
import pytest

from jobhub.domain.jobs import FINISHED, JobStatus
from jobhub.store import jobs as store
from jobhub.store import retention
from jobhub.store.jobs import Act
from jobhub.store.retention import Cutoff
from jobhub.store.statements import statements
from tests import factories
from tests.factories import job_row, make_job

NOBODY = Act(actor_id=None)
SOMEBODY = Act(actor_id=factories.new_id(), request_id="r")
NOW = datetime.now(UTC)
MONTH_AGO = NOW - timedelta(days=30)
COMPLETED = [Cutoff(status=JobStatus.COMPLETED, before=MONTH_AGO)]
ATTEMPT = "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome) VALUES (%s, %s, %s, %s, %s, %s, %s)"


def old_job(sql, owner, status="completed", *, days=40, **columns):
    """A job that finished so many days ago, and was submitted a day before."""
    ended_at = NOW - timedelta(days=days)
    return make_job(sql, owner, status=status, created_at=ended_at - timedelta(days=1), completed_at=ended_at, **columns)


def add_attempt(sql, job_id, number, outcome="completed", *, days=40):
    at = NOW - timedelta(days=days)
    sql.execute(ATTEMPT, [job_id, number, factories.new_id(), at, at, at, outcome])


def ids(sql):
    return {row.id for row in sql.execute("SELECT id FROM jobs").fetchall()}


async def clean_up(db, cutoffs=COMPLETED, *, after=retention.START, act=SOMEBODY):
    return await retention.clean_up_jobs(db, cutoffs, after=after, details={"because": "a test"}, act=act)


@pytest.mark.parametrize("act", [SOMEBODY, NOBODY], ids=["a person", "jobhub itself"])
@pytest.mark.parametrize("status", list(JobStatus))
async def test_only_finished_jobs_go_and_failed_ones_only_by_jobhub_itself(db, sql, alice, status, act):
    job_id = make_job(sql, alice, status=status)
    cutoffs = [Cutoff(status=each, before=NOW + timedelta(days=1)) for each in JobStatus]

    batch = await clean_up(db, cutoffs, act=act)

    goes = status in FINISHED and (status is not JobStatus.FAILED or act is NOBODY)
    assert batch.deleted == ({"test.echo": 1} if goes else {})
    assert ids(sql) == (set() if goes else {job_id})


# (cutoffs as type, status, days or None to keep; whether a mail of 20 days goes, and one of another type)
RULES = [
    ([(None, "completed", 30)], False, False),
    ([(None, "completed", 10)], True, True),
    ([("mail", "completed", 10)], True, False),
    ([(None, "completed", 10), ("mail", "completed", 30)], False, True),
    ([(None, "completed", 30), ("mail", "completed", 10)], True, False),
    ([(None, "completed", 10), ("mail", "completed", None)], False, True),
    ([(None, "completed", None), ("mail", "completed", 10)], True, False),
    ([(None, "completed", 10), ("mail", "cancelled", None)], True, True),
    ([(None, "cancelled", 10), ("mail", "failed", 10)], False, False),
    ([(None, "completed", None)], False, False),
]


@pytest.mark.parametrize(("rules", "mail_goes", "other_goes"), RULES)
async def test_the_rule_of_a_jobs_own_type_decides_and_else_the_common_one(db, sql, alice, rules, mail_goes, other_goes):
    mail, other = old_job(sql, alice, job_type="mail", days=20), old_job(sql, alice, days=20)
    cutoffs = [Cutoff(job_type=name, status=JobStatus(status), before=days and NOW - timedelta(days=days)) for name, status, days in rules]

    await clean_up(db, cutoffs, act=NOBODY)

    assert {mail, other} - ids(sql) == {job_id for job_id, goes in ((mail, mail_goes), (other, other_goes)) if goes}


@pytest.mark.parametrize(("seconds", "goes"), [(-1, True), (0, True), (1, False)])
async def test_what_finished_at_the_cutoff_is_old(db, sql, alice, seconds, goes):
    make_job(sql, alice, status="completed", created_at=MONTH_AGO, completed_at=MONTH_AGO + timedelta(seconds=seconds))

    assert bool((await clean_up(db)).deleted) is goes


async def test_a_batch_ends_after_a_thousand_jobs_and_the_next_goes_on_there(db, sql, alice):
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, created_at, completed_at, pinned_at)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', now(), 'completed', now() - interval '41 days',"
        " now() - interval '40 days', CASE WHEN n <= 500 THEN now() END FROM generate_series(1, 1700) AS n",
        [alice.id],
    )

    first = await clean_up(db)
    second = await clean_up(db, after=first.last)

    assert first.deleted.get("test.echo", 0) + second.deleted["test.echo"] == 1200
    assert first.deleted.get("test.echo", 0) <= 1000
    assert first.last
    assert (second.last, len(ids(sql))) == (None, 500)


async def test_counting_counts_what_a_person_would_delete_and_changes_nothing(db, sql, alice):
    for status, days in product(("completed", "failed", "cancelled"), (20, 40)):
        old_job(sql, alice, status, days=days)
    old_job(sql, alice, job_type="mail")
    old_job(sql, alice, pinned_at=NOW)
    before = ids(sql)
    cutoffs = [Cutoff(status=status, before=MONTH_AGO) for status in JobStatus]

    counted = await retention.count_jobs_to_clean_up(db, cutoffs, after=retention.START)

    assert counted == retention.Batch(deleted={"test.echo": 2, "mail": 1}, last=None)
    assert ids(sql) == before
    assert (await clean_up(db, cutoffs)).deleted == counted.deleted


async def test_what_is_removed_is_counted_by_minute_type_and_outcome(db, sql, alice):
    minute = (NOW - timedelta(days=40)).replace(second=0, microsecond=0)
    for seconds, columns in [(5, {}), (55, {}), (65, {}), (10, {"job_type": "mail"})]:
        job_id = make_job(sql, alice, status="completed", created_at=minute, completed_at=minute + timedelta(seconds=seconds), **columns)
        add_attempt(sql, job_id, 1, "released", days=41)
        add_attempt(sql, job_id, 2)
    failed = make_job(sql, alice, status="failed", created_at=minute, completed_at=minute, error_code="boom")
    make_job(sql, alice, status="cancelled", created_at=minute, completed_at=minute, error_code="boom", error_message="It went boom.")
    cutoffs = [Cutoff(status=status, before=MONTH_AGO) for status in FINISHED]

    await clean_up(db, cutoffs, act=NOBODY)

    rows = sql.execute("SELECT * FROM job_stat_changes").fetchall()
    assert failed not in ids(sql)
    jobs = {(row.at, row.job_type, row.status, row.error_code): row.jobs_removed for row in rows if row.status}
    assert jobs == {
        (minute, "test.echo", "completed", None): 2,
        (minute + timedelta(minutes=1), "test.echo", "completed", None): 1,
        (minute, "mail", "completed", None): 1,
        (minute, "test.echo", "failed", "boom"): 1,
        (minute, "test.echo", "cancelled", None): 1,
    }
    attempt_minutes = {days: (NOW - timedelta(days=days)).replace(second=0, microsecond=0) for days in (40, 41)}
    assert {(row.at, row.job_type, row.outcome): row.attempts_removed for row in rows if row.outcome} == {
        (attempt_minutes[41], "test.echo", "released"): 3,
        (attempt_minutes[40], "test.echo", "completed"): 3,
        (attempt_minutes[41], "mail", "released"): 1,
        (attempt_minutes[40], "mail", "completed"): 1,
    }
    assert {(row.jobs, row.attempts) for row in rows} == {(0, 0)}


async def test_a_batch_is_on_record_with_whose_it_is_and_one_that_deletes_nothing_is_not(db, sql, alice):
    old_job(sql, alice)

    for _ in range(2):
        await clean_up(db)

    [entry] = sql.execute("SELECT * FROM audit_log").fetchall()
    assert (entry.actor_id, entry.verb, entry.request_id) == (SOMEBODY.actor_id, "clean_up", "r")
    assert entry.details == {"because": "a test", "deleted": {"test.echo": 1}}


# Each changes the old cancelled job, so that it may not be removed.
CHANGES = {
    "retry": ("retry_job", {"owner_id": None}),
    "force-complete": ("force_complete_job", {"result": None}),
    "pin": ("pin_job", {}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_job_that_is_just_being_changed_is_passed_over(db, sql, alice, change):
    job_id = old_job(sql, alice, "cancelled")
    name, parameters = CHANGES[change]
    async with db.transaction() as other:
        assert await other.fetch_row(name, job_id=job_id, actor_id=None, reason=None, request_id=None, **parameters)

        batch = await clean_up(db, [Cutoff(status=JobStatus.CANCELLED, before=MONTH_AGO), *COMPLETED])

        assert (batch.deleted, batch.passed_over) == ({}, 1)
    again = await clean_up(db, [Cutoff(status=JobStatus.CANCELLED, before=MONTH_AGO), *COMPLETED])
    assert (again.deleted, again.passed_over, ids(sql)) == ({}, 0, {job_id})


@pytest.mark.parametrize("change", CHANGES)
async def test_a_job_that_was_changed_since_the_snapshot_is_looked_at_again(db, sql, alice, monkeypatch, change):
    """The clean-up has read the job as old, and comes to lock it when the change is committed already."""
    job_id = old_job(sql, alice, "cancelled")
    statement = statements()["clean_up_jobs"]
    waits = statement.sql.replace("walked.pinned_at IS NULL", "walked.pinned_at IS NULL AND (SELECT pg_advisory_xact_lock(1)::text) = ''")
    monkeypatch.setitem(statements(), "clean_up_jobs", msgspec.structs.replace(statement, sql=waits))
    name, parameters = CHANGES[change]
    sql.execute("SELECT pg_advisory_lock(1)")
    task = asyncio.create_task(clean_up(db, [Cutoff(status=JobStatus.CANCELLED, before=MONTH_AGO), *COMPLETED]))
    await waits_for_a_lock(sql)

    await db.fetch_row(name, job_id=job_id, actor_id=None, reason=None, request_id=None, **parameters)
    sql.execute("SELECT pg_advisory_unlock(1)")

    assert ((await task).deleted, ids(sql)) == ({}, {job_id})


async def waits_for_a_lock(sql):
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not sql.execute(query).fetchall():
            await asyncio.sleep(0.005)


async def test_attempts_that_ended_long_ago_go_where_their_job_is_settled(db, sql, alice):
    jobs = {name: make_job(sql, alice, status=name) for name in JobStatus}
    jobs["pinned"] = make_job(sql, alice, status="completed", pinned_at=NOW)
    for job_id in jobs.values():
        add_attempt(sql, job_id, 1, "released", days=40)
        add_attempt(sql, job_id, 2, days=20)

    removed, place = await retention.remove_old_attempts(db, MONTH_AGO, after=retention.FIRST_ATTEMPT, details={"policy": "p"})

    left = {
        name: [row.number for row in sql.execute("SELECT number FROM job_attempts WHERE job_id = %s ORDER BY 1", [job_id])]
        for name, job_id in jobs.items()
    }
    assert left == {name: [2] if name in ("completed", "cancelled") else [1, 2] for name in jobs}
    assert (removed, place) == (2, None)
    [change] = sql.execute("SELECT * FROM job_stat_changes").fetchall()
    assert (change.job_type, change.status, change.outcome, change.attempts_removed) == ("test.echo", None, "released", 2)
    [entry] = sql.execute("SELECT * FROM audit_log").fetchall()
    assert (entry.actor_id, entry.verb, entry.details) == (None, "clean_up", {"policy": "p", "attempts": 2})


async def test_the_walk_over_attempts_misses_none_of_the_same_moment(db, sql, alice):
    job_id = make_job(sql, alice, status="completed")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)"
        " SELECT %s, n, gen_random_uuid(), now(), now(), now() - interval '40 days', 'released' FROM generate_series(1, 2500) AS n",
        [job_id],
    )
    removed, place = [], retention.FIRST_ATTEMPT
    while place:
        count, place = await retention.remove_old_attempts(db, MONTH_AGO, after=place, details={})
        removed.append(count)

    assert removed == [1000, 1000, 500]


# (age of an entry in days, cutoff in days, whether it goes)
@pytest.mark.parametrize(("age", "cutoff", "goes"), [(401, 400, True), (399, 400, False), (31, 31, True), (29, 1, False), (31, 1, True)])
async def test_old_entries_of_the_audit_log_go_but_none_of_the_last_month(db, sql, age, cutoff, goes):
    sql.execute("INSERT INTO audit_log (verb, at) VALUES ('cancel', now() - make_interval(days => %s, secs => 1))", [age])

    removed = await retention.remove_old_audit_entries(db, datetime.now(UTC) - timedelta(days=cutoff), details={"policy": "p"})

    entries = sql.execute("SELECT verb, details FROM audit_log").fetchall()
    assert removed == int(goes)
    assert entries == ([("clean_up", {"policy": "p", "audit_entries": 1})] if goes else [("cancel", {})])


async def test_a_chore_is_begun_by_one_of_all_who_ask_and_again_when_its_time_has_come(db, sql):
    hour = timedelta(hours=1)

    is_due = await retention.is_chore_due(db, "retention", every=hour)
    first = await asyncio.gather(*(retention.begin_chore(db, "retention", every=hour) for _ in range(5)))
    sql.execute("UPDATE upkeep SET began_at = began_at - interval '59 minutes'")
    too_early = await retention.begin_chore(db, "retention", every=hour)
    sql.execute("UPDATE upkeep SET began_at = began_at - interval '1 minute'")
    in_time = await retention.begin_chore(db, "retention", every=hour)

    assert (is_due, sorted(first), too_early, in_time) == (True, [False] * 4 + [True], False, True)


async def test_a_pin_and_its_end_are_new_versions_and_repeating_them_changes_nothing(db, sql, alice):
    job_id = make_job(sql, alice)

    changed = [await change(db, job_id, act=NOBODY) for change in (store.pin_job, store.pin_job, store.unpin_job, store.unpin_job)]

    assert [job and (job.version, job.pinned_at is not None) for job in changed] == [(2, True), None, (3, False), None]
    assert job_row(sql, job_id).version == 3
    assert [row.verb for row in sql.execute("SELECT verb FROM audit_log ORDER BY id").fetchall()] == ["pin", "unpin"]
