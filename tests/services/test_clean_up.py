"""Clean-ups that take a while: they go on, meet again what was held, and leave what they did when they are cut off."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import psycopg
import pytest

from jobhub.domain.errors import CleanUpInProgress, DatabaseUnavailable
from jobhub.domain.jobs import JobStatus
from jobhub.services import clean_up as service
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.retention import Cutoff
from jobhub.store.statements import statements
from tests import factories
from tests.store.test_rollups import fold_all

ACT = Act(actor_id=factories.new_id())
CHOICES = [(1, False), (30, False), (30, True), (401, False)]  # days, and whether cancelled ones too


def fill(sql: psycopg.Connection, owner_id: UUID, jobs: int, *, status: str = "completed", days: int = 40) -> None:
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, created_at, completed_at,"
        " error_code, error_message)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', now(), %s, made.at, made.at, made.error, made.error"
        " FROM (SELECT now() - make_interval(days => %s, secs => n) AS at, CASE %s WHEN 'failed' THEN 'x' END AS error"
        " FROM generate_series(1, %s) AS n) AS made",
        [owner_id, status, days, status, jobs],
    )


def count(sql: psycopg.Connection, table: str) -> int:
    return sql.execute(f"SELECT count(*) AS n FROM {table}").fetchone().n


async def clean_up(db):
    return await service.clean_up(db, days_old=30, include_cancelled=False, act=ACT)


async def test_what_is_kept_is_walked_over_once_and_a_batch_is_on_record_each(db, sql, alice):
    fill(sql, alice.id, 2500, status="failed", days=50)
    fill(sql, alice.id, 2500)

    rehearsed = await service.rehearse(db, days_old=30, include_cancelled=False)
    done = await clean_up(db)

    assert (done.deleted, done.by_type) == (2500, {"test.echo": 2500})
    assert (rehearsed.deleted, rehearsed.by_type, rehearsed.dry_run) == (2500, {"test.echo": 2500}, True)
    recorded = [row.details["deleted"]["test.echo"] for row in sql.execute("SELECT details FROM audit_log ORDER BY id").fetchall()]
    assert recorded == [500, 1000, 1000]
    assert count(sql, "jobs") == 2500


async def test_batches_do_not_wait_for_the_disk_but_the_end_does(dsn, sql, alice):
    fill(sql, alice.id, 10)
    async with Database.open(dsn, max_size=1, application_name="a test", settings={"synchronous_commit": "on"}) as db:
        async with service.alone(db) as session:
            assert await session._connection.fetchval("SHOW synchronous_commit") == "off"
            await service.sweep(session, [Cutoff(status=JobStatus.COMPLETED, before=datetime.now(UTC))], details={}, act=ACT)
            written = sql.execute("SELECT pg_current_wal_insert_lsn() AS at").fetchone().at
        flushed = sql.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn AS all_of_it", [written]).fetchone()

    assert flushed.all_of_it


@pytest.mark.parametrize("are_folded", [False, True], ids=["unfolded", "folded"])
async def test_a_preview_of_many_jobs_is_what_the_rollups_say(db, sql, alice, monkeypatch, are_folded):
    monkeypatch.setattr(service, "_MAX_LOOKED_AT", 0)
    fill(sql, alice.id, 25)
    fill(sql, alice.id, 5, status="cancelled")
    fill(sql, alice.id, 3, status="failed")
    fill(sql, alice.id, 7, days=2)
    sql.execute("SELECT count_history_into_stats()")
    if are_folded:
        await fold_all(db)

    previews = [await service.preview(db, days_old=days, include_cancelled=cancelled) for days, cancelled in CHOICES]
    await clean_up(db)
    after = await service.preview(db, days_old=30, include_cancelled=False)

    assert [(preview.deleted, is_exact) for preview, is_exact in previews] == [(32, False), (25, False), (30, False), (0, True)]
    assert previews[0][0].by_type == {"test.echo": 32}
    assert (after[0].deleted, after[0].by_type) == (0, {})


async def test_a_preview_of_few_jobs_is_exact(db, sql, alice):
    fill(sql, alice.id, 2)
    sql.execute("UPDATE jobs SET pinned_at = now() WHERE id = (SELECT id FROM jobs LIMIT 1)")
    sql.execute("SELECT count_history_into_stats()")

    preview, is_exact = await service.preview(db, days_old=30, include_cancelled=False)

    assert (preview.deleted, is_exact) == (1, True)


async def test_a_job_that_somebody_held_is_met_again(db, dsn, sql, alice):
    fill(sql, alice.id, 1500)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM jobs ORDER BY created_at LIMIT 1 FOR UPDATE")
        running = asyncio.create_task(clean_up(db))
        async with asyncio.timeout(10):
            while count(sql, "jobs") > 1:
                await asyncio.sleep(0.01)

        other.rollback()

        done = await running
    assert (done.deleted, count(sql, "jobs")) == (1500, 0)


async def test_a_job_that_stays_held_is_left_for_the_next_clean_up(db, dsn, sql, alice, monkeypatch):
    monkeypatch.setattr(service, "_LOOK_AGAIN_SECONDS", 0)
    fill(sql, alice.id, 5)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM jobs ORDER BY created_at LIMIT 1 FOR UPDATE")
        first = await clean_up(db)

    second = await clean_up(db)

    assert (first.deleted, second.deleted) == (4, 1)


async def test_of_two_at_once_one_is_refused_and_neither_holds_a_connection_of_the_pool(db, sql, alice):
    fill(sql, alice.id, 3000)

    answers = await asyncio.gather(clean_up(db), clean_up(db), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["CleanUp", "CleanUpInProgress"]
    assert count(sql, "jobs") == 0
    assert db.pool_use().busy == 0


@pytest.mark.parametrize("cut", ["the caller goes", "its connection is lost"])
async def test_one_that_is_cut_off_leaves_what_it_did_and_the_next_goes_on(db, sql, alice, cut):
    fill(sql, alice.id, 6000)
    running = asyncio.create_task(clean_up(db))
    async with asyncio.timeout(10):
        while count(sql, "audit_log") < 2:
            await asyncio.sleep(0.001)

    if cut == "the caller goes":
        running.cancel()
    else:
        sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
    with pytest.raises(asyncio.CancelledError if cut == "the caller goes" else DatabaseUnavailable):
        await running

    left = await settled(sql)
    recorded = sum(row.details["deleted"]["test.echo"] for row in sql.execute("SELECT details FROM audit_log").fetchall())
    assert 0 < left < 6000
    assert left + recorded == 6000
    assert await next_one(db) == left


async def test_a_cancellation_in_the_middle_of_a_batch_stays_one(db, sql, alice, monkeypatch):
    """Its connection is ended, so the lock can't be given back: a failure of that would hide why."""
    fill(sql, alice.id, 5)
    statement = statements()["clean_up_jobs"]
    waits = statement.sql.replace("walked.pinned_at IS NULL", "walked.pinned_at IS NULL AND (SELECT pg_advisory_xact_lock(1)::text) = ''")
    monkeypatch.setitem(statements(), "clean_up_jobs", msgspec.structs.replace(statement, sql=waits))
    sql.execute("SELECT pg_advisory_lock(1)")
    running = asyncio.create_task(clean_up(db))
    async with asyncio.timeout(10):
        while not sql.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
            await asyncio.sleep(0.01)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert count(sql, "jobs") == 5
    sql.execute("SELECT pg_advisory_unlock(1)")


async def settled(sql):
    """How many jobs are left once no clean-up holds the lock any more."""
    query = (
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with asyncio.timeout(10):
        while sql.execute(query).fetchall():
            await asyncio.sleep(0.01)
    return count(sql, "jobs")


async def next_one(db):
    """What the next clean-up deletes; connections that died are found out by whoever uses them."""
    async with asyncio.timeout(10):
        while True:
            with suppress(DatabaseUnavailable, CleanUpInProgress):
                return (await clean_up(db)).deleted
