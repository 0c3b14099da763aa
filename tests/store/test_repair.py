"""Pending jobs whose delivery vanished get a new one; all others are left alone, whatever happens to them meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from jobhub.store import dispatch, jobs, repair
from jobhub.store.jobs import Act
from jobhub.store.statements import Statement, statements
from tests import factories
from tests.worker.attempts import until


async def look(db) -> int:
    repaired, _ = await repair.repair_deliveries(db, repair.START)
    return repaired


async def claim(db, worker_id, slots: int = 10):
    claimed = await dispatch.claim_jobs(db, worker_id=worker_id, queues=["default"], known_types=["test.echo"], slots=slots)
    return [job.id for job in claimed.jobs]


def deliveries(sql) -> list[str]:
    return [row.job_id for row in sql.execute("SELECT args ->> 'job_id' AS job_id FROM procrastinate_jobs ORDER BY id")]


async def test_jobs_whose_deliveries_were_truncated_run_again(db, sql, alice):
    ids = [factories.make_job(sql, alice, priority=priority) for priority in (0, 7)]
    worker_id = factories.make_worker(sql)
    sql.execute("TRUNCATE procrastinate_jobs CASCADE")
    assert await claim(db, worker_id) == []

    assert await look(db) == 2

    assert await claim(db, worker_id) == ids[::-1]


async def test_a_second_look_finds_nothing_to_repair(db, sql, alice):
    factories.make_job(sql, alice)
    sql.execute("DELETE FROM procrastinate_jobs")

    assert [await look(db), await look(db)] == [1, 0]
    assert len(deliveries(sql)) == 1


async def test_what_is_in_order_is_left_alone(db, sql, alice):
    soon = datetime.now(UTC) + timedelta(hours=1)
    for status in ("pending", "running", "completed", "failed", "cancelled"):
        factories.make_job(sql, alice, status=status)
    factories.make_job(sql, alice, scheduled_for=soon)
    before = sql.execute("SELECT * FROM jobs ORDER BY id").fetchall()

    assert await look(db) == 0

    assert sql.execute("SELECT * FROM jobs ORDER BY id").fetchall() == before
    assert len(deliveries(sql)) == 1


async def test_a_delivery_that_no_claim_would_take_counts_as_gone(db, sql, alice):
    """Somebody ran Procrastinate's own worker on the table."""
    job_id = factories.make_job(sql, alice)
    sql.execute("UPDATE procrastinate_jobs SET status = 'doing'")

    assert await look(db) == 1
    assert await claim(db, factories.make_worker(sql)) == [job_id]


async def test_a_delivery_of_another_job_under_the_same_number_does_not_pass_for_ours(db, sql, alice):
    lost = factories.make_job(sql, alice)
    sql.execute("TRUNCATE procrastinate_jobs RESTART IDENTITY CASCADE")
    other = factories.make_job(sql, alice)
    sql.execute("UPDATE jobs SET delivery_id = (SELECT delivery_id FROM jobs WHERE id = %s)", [other])

    assert await look(db) == 1
    assert sorted(await claim(db, factories.make_worker(sql))) == sorted([lost, other])


async def test_a_claim_that_is_about_to_commit_is_not_repaired(db, sql, alice):
    """The race: its delivery is deleted and its job running, in a transaction nobody else sees yet."""
    job_id = factories.make_job(sql, alice)
    worker_id = factories.make_worker(sql)

    async with db.transaction() as session:
        assert await claim(session, worker_id) == [job_id]
        assert await look(db) == 0

    assert deliveries(sql) == []
    assert factories.job_row(sql, job_id).status == "running"


async def test_a_job_that_moves_on_after_the_repair_has_looked_is_left_alone(db, sql, alice, monkeypatch):
    """The repair stands between its look and its locks, by a copy of the statement that waits there."""
    whole = statements()["repair_deliveries"]
    waiting = whole.sql.replace("page.delivery_id IS NOT NULL", "pg_advisory_xact_lock_shared(7) IS NOT NULL", 1)
    assert waiting != whole.sql
    monkeypatch.setitem(statements(), "repair_deliveries", Statement(whole.name, waiting, whole.parameters, 60))
    job_id = factories.make_job(sql, alice)
    sql.execute("DELETE FROM procrastinate_jobs")
    sql.execute("SELECT pg_advisory_lock(7)")
    looking = asyncio.create_task(look(db))
    await until(lambda: sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount)

    await jobs.cancel_job(db, job_id, owner_id=alice.id, act=Act(actor_id=alice.id))
    sql.execute("SELECT pg_advisory_unlock(7)")

    assert await looking == 0
    assert deliveries(sql) == []


async def test_two_repairs_at_once_make_one_delivery(db, sql, alice):
    factories.make_job(sql, alice)
    sql.execute("DELETE FROM procrastinate_jobs")

    async with db.transaction() as session:
        first = await look(session)
        second = await look(db)

    assert [first, second] == [1, 0]
    assert len(deliveries(sql)) == 1


async def test_a_retry_that_commits_meanwhile_leaves_a_job_that_runs_once(db, sql, alice):
    """Two deliveries, one of which does nothing."""
    job_id = factories.make_job(sql, alice)
    sql.execute("DELETE FROM procrastinate_jobs")
    async with db.transaction() as session:
        await jobs.cancel_job(session, job_id, owner_id=alice.id, act=Act(actor_id=alice.id))
        looking = asyncio.create_task(look(db))
        await jobs.retry_job(session, job_id, owner_id=alice.id, act=Act(actor_id=alice.id))
        await asyncio.wait({looking}, timeout=1)
    await looking

    worker_id = factories.make_worker(sql)
    assert await claim(db, worker_id) == [job_id]
    assert await claim(db, worker_id) == []
    assert factories.job_row(sql, job_id).attempt == 1


async def test_pages_follow_each_other_and_start_anew(db, sql, alice, monkeypatch):
    whole = statements()["repair_deliveries"]
    small = Statement(whole.name, whole.sql.replace("10000", "2").replace("9999", "1"), whole.parameters)
    monkeypatch.setitem(statements(), "repair_deliveries", small)
    ids = [factories.make_job(sql, alice) for _ in range(5)]
    sql.execute("DELETE FROM procrastinate_jobs")

    place, found = repair.START, []
    for _ in range(3):
        repaired, place = await repair.repair_deliveries(db, place)
        found.append(repaired)

    assert (found, place) == ([2, 2, 1], repair.START)
    assert sorted(deliveries(sql)) == sorted(str(job_id) for job_id in ids)


@pytest.mark.parametrize("repaired", [0, 1])
async def test_a_worker_goes_on_at_once_where_something_was_lost(monkeypatch, repaired):
    from jobhub.worker.repair import Repair

    places = [UUID(int=2), UUID(int=1), repair.START]
    asked = []

    async def repair_deliveries(_db, after):
        asked.append(after)
        return repaired, places[len(asked) - 1]

    monkeypatch.setattr(repair, "repair_deliveries", repair_deliveries)
    worker = Repair(None)
    await worker.look()

    assert asked == ([repair.START, *places[:2]] if repaired else [repair.START])
    if not repaired:
        await worker.look()
        assert asked == [repair.START, places[0]]


async def test_a_running_job_that_no_claim_leads_to_gets_one_and_is_rescued_when_its_worker_dies(db, sql, alice):
    job_id = factories.make_job(sql, alice, status="running")
    sql.execute("DELETE FROM claims")
    sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")
    assert await dispatch.rescue_jobs(db) == []

    assert [await look(db), await look(db)] == [1, 0]

    assert [rescued.job_id for rescued in await dispatch.rescue_jobs(db)] == [job_id]
