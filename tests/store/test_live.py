"""What is looked at for those who wait, and jobs read in shared statements: each caller gets what it may see."""

import asyncio

from jobhub.store.live import Live, Mark
from tests import factories
from tests.factories import make_job


async def test_reads_at_the_same_time_each_get_their_own_answer(db, sql, alice, bob):
    hers, his = make_job(sql, alice, title="hers"), make_job(sql, bob, title="his")
    live = Live(db)
    asked = [(hers, alice.id), (his, alice.id), (his, None), (hers, bob.id), (factories.new_id(), None), (hers, alice.id)] * 10

    found = await asyncio.gather(*(live.read(job_id, owner_id=owner_id) for job_id, owner_id in asked))

    assert [job and job.title for job in found] == ["hers", None, "his", None, None, "hers"] * 10


async def test_many_are_read_in_the_order_asked_for_without_what_may_not_be_seen(db, sql, alice, bob):
    first, second, his = make_job(sql, alice), make_job(sql, alice), make_job(sql, bob)

    found = await Live(db).read_all([second, his, first], owner_id=alice.id)

    assert [job.id for job in found] == [second, first]


async def test_a_look_tells_what_changed_and_what_is_gone(db, sql, alice):
    job_id = make_job(sql, alice, status="completed", version=3)
    live = Live(db)
    known = {job_id: Mark(3, True)}

    waiting = asyncio.create_task(live.jobs.until_changed(job_id, known, seconds=20))
    sql.execute("UPDATE jobs SET version = 4")
    changed = await waiting
    waiting = asyncio.create_task(live.jobs.until_changed(job_id, changed, seconds=20))
    sql.execute("DELETE FROM jobs")

    assert changed == {job_id: Mark(4, True)}
    assert await waiting == {}
    await live.close()


async def test_of_an_owner_the_newest_thousand_are_watched(db, sql, alice, bob):
    make_job(sql, bob)
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, deliver_at, created_at)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'old', '{}', now(), now(), now() - interval '1 day'"
        " FROM generate_series(1, 1000)",
        [alice.id],
    )
    newest = make_job(sql, alice, status="running")
    live = Live(db)

    marks = await live.owners.until_changed(alice.id, {}, seconds=20)

    assert len(marks) == 1000
    assert marks[newest] == Mark(1, False)
    assert await live.owners.until_changed(factories.new_id(), {}, seconds=0.1) == {}
    await live.close()
