"""No user has more jobs running than they may, whoever claims; what is held is out of the way and starts when there is room."""

import asyncio
import re
from collections import Counter

import pytest

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.store import dispatch, jobs
from jobhub.store.dispatch import Claim
from jobhub.store.jobs import Act
from jobhub.store.statements import statements
from tests.factories import job_row, make_job, make_worker

ACT = Act(actor_id=None)


async def claim(db, worker_id, *, slots=10, max_running=2) -> Claim:
    given = {"worker_id": worker_id, "queues": ["default"], "known_types": ["test.echo"]}
    return await dispatch.claim_jobs(db, **given, slots=slots, max_running=max_running)


async def ids_claimed(db, worker_id, **options):
    return [job.id for job in (await claim(db, worker_id, **options)).jobs]


async def finish(db, job_id, attempt=1):
    done = Outcome(job_id=job_id, attempt=attempt, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED)
    assert len(await dispatch.finish_jobs(db, [done])) == 1


def held(sql, owner):
    rows = sql.execute("SELECT args ->> 'job_id' AS id FROM procrastinate_jobs WHERE held AND owner_id = %s ORDER BY id", [owner.id])
    return [row.id for row in rows]


@pytest.fixture
def worker_id(sql):
    return make_worker(sql)


def test_a_start_is_the_same_with_and_without_a_limit():
    """The two claims differ in what they take and in what they count, and must not in what they do to a job."""

    def start_of(name):
        text = statements()[name].sql
        return re.sub(r"\$\d+", "$", text[text.index("taken AS (") : text.rindex("\nSELECT")])

    assert start_of("claim_jobs") == start_of("claim_jobs_within_limit")


async def test_only_so_many_jobs_of_a_user_start_the_best_first_and_the_others_are_held(db, sql, alice, worker_id):
    worse, better, middle = (make_job(sql, alice, priority=priority) for priority in (0, 9, 5))

    answer = await claim(db, worker_id)

    assert ([job.id for job in answer.jobs], answer.taken, answer.held) == ([better, middle], 3, 1)
    assert held(sql, alice) == [str(worse)]
    assert job_row(sql, worse).status == "pending"


async def test_what_runs_on_other_workers_counts(db, sql, alice, worker_id):
    make_job(sql, alice, status="running")
    first, second = make_job(sql, alice), make_job(sql, alice)

    assert await ids_claimed(db, worker_id) == [first]
    assert held(sql, alice) == [str(second)]


async def test_a_user_with_thousands_of_jobs_in_front_keeps_nobody_waiting(db, sql, alice, bob, worker_id):
    for _ in range(2):
        make_job(sql, alice, status="running")
    sql.execute("SELECT count(deliver_job(gen_random_uuid(), 'test.echo', 'default', 0, %s)) FROM generate_series(1, 3000)", [alice.id])
    of_bob = make_job(sql, bob)

    claims = [await ids_claimed(db, worker_id, slots=1) for _ in range(4)]

    assert claims == [[], [], [], [of_bob]]


async def test_the_best_held_one_starts_when_one_of_the_users_jobs_has_ended(db, sql, alice, worker_id):
    ids = [make_job(sql, alice, priority=priority) for priority in (9, 8, 1, 5)]
    assert await ids_claimed(db, worker_id) == ids[:2]
    assert await dispatch.unhold_deliveries(db, max_running=2) == (0, True)

    await finish(db, ids[0])

    assert await dispatch.unhold_deliveries(db, max_running=2) == (1, True)
    assert await ids_claimed(db, worker_id) == [ids[3]]


@pytest.mark.parametrize("limit", [0, 4])
async def test_a_limit_that_is_raised_or_lifted_lets_held_ones_go(db, sql, alice, worker_id, limit):
    ids = [make_job(sql, alice) for _ in range(4)]
    await claim(db, worker_id)

    assert await dispatch.unhold_deliveries(db, max_running=limit) == (2, True)

    assert await dispatch.unhold_deliveries(db, max_running=limit) == (0, False)
    assert await ids_claimed(db, worker_id, max_running=limit) == ids[2:]


async def test_a_limit_that_is_lowered_below_what_runs_starts_nothing(db, sql, alice, worker_id):
    for _ in range(4):
        make_job(sql, alice, status="running")
    make_job(sql, alice)

    assert await ids_claimed(db, worker_id, max_running=2) == []
    assert await dispatch.unhold_deliveries(db, max_running=2) == (0, True)


async def test_each_user_with_held_jobs_gets_their_own_room(db, sql, alice, bob, admin, worker_id):
    ids = {user.id: [make_job(sql, user) for _ in range(3)] for user in (alice, bob, admin)}
    assert (await claim(db, worker_id, max_running=1)).held == 6
    await finish(db, ids[alice.id][0])
    await finish(db, ids[admin.id][0])

    assert await dispatch.unhold_deliveries(db, max_running=1) == (2, True)

    assert set(await ids_claimed(db, worker_id, max_running=1)) == {ids[alice.id][1], ids[admin.id][1]}


async def test_a_held_job_says_so_and_has_no_place(db, sql, alice, bob, worker_id):
    started, waiting = make_job(sql, alice), make_job(sql, alice)
    await claim(db, worker_id, max_running=1)
    of_bob = make_job(sql, bob)

    places = await jobs.queue_places(db, [started, waiting, of_bob])

    assert {job_id: (place.position, place.reason) for job_id, place in places.items()} == {
        waiting: (None, "running_limit"),
        of_bob: (1, "queued"),
    }


async def test_a_held_job_is_pending_in_every_other_way(db, sql, alice, worker_id):
    make_job(sql, alice, status="running")
    waiting = make_job(sql, alice)
    await claim(db, worker_id, max_running=1)
    usage = await jobs.get_usage(db, alice.id)

    assert (usage.running_jobs, usage.pending_jobs) == (1, 1)
    row = await db.fetch_row("repair_deliveries", before_id="ffffffff-ffff-ffff-ffff-ffffffffffff")
    assert row["repaired"] == 0
    assert (await jobs.cancel_job(db, waiting, owner_id=alice.id, act=ACT)).status == "cancelled"
    assert held(sql, alice) == []


async def test_a_delivery_that_does_not_say_whose_it_is_counts_for_the_owner_of_its_job(db, sql, alice, worker_id):
    ids = [make_job(sql, alice) for _ in range(3)]
    sql.execute("UPDATE procrastinate_jobs SET owner_id = NULL")

    assert await ids_claimed(db, worker_id) == ids[:2]
    assert held(sql, alice) == [str(ids[2])]


async def test_claims_that_run_no_more_are_forgotten_and_those_that_run_are_not(db, sql, alice, worker_id):
    ids = [make_job(sql, alice) for _ in range(3)]
    await claim(db, worker_id, slots=1)
    await claim(db, worker_id, slots=1)
    await finish(db, ids[0])

    await claim(db, worker_id, slots=1)

    assert [row.job_ids for row in sql.execute("SELECT job_ids FROM claims ORDER BY id")] == [[ids[1]], [ids[2]]]


async def test_a_claim_waits_for_another_one_with_the_same_user_and_counts_what_it_started(db, sql, alice, bob):
    """Two connections: without the lock, or with a count from before it, both would start two."""
    one, other = make_worker(sql), make_worker(sql)
    ids = [make_job(sql, alice) for _ in range(4)]
    async with db.transaction() as session:
        assert await ids_claimed(session, one, slots=2) == ids[:2]
        waiting = asyncio.create_task(claim(db, other, slots=2))
        await _until_someone_waits_for_a_lock(sql)

    answer = await waiting

    assert (answer.jobs, answer.held) == ([], 2)


async def test_claims_of_different_users_do_not_wait_for_each_other(db, sql, alice, bob):
    one, other = make_worker(sql), make_worker(sql)
    of_alice, of_bob = make_job(sql, alice), make_job(sql, bob)
    async with db.transaction() as session:
        assert await ids_claimed(session, one, slots=1) == [of_alice]
        assert await asyncio.wait_for(ids_claimed(db, other, slots=1), 5) == [of_bob]


async def test_many_workers_users_and_verbs_at_once_neither_pass_the_limit_nor_deadlock(db, sql, alice, bob, admin):
    users = [alice, bob, admin]
    ids = [make_job(sql, users[n % 3], priority=n % 5) for n in range(90)]
    most: Counter = Counter()

    async def work(to_cancel):
        worker_id = make_worker(sql)
        while sql.execute("SELECT FROM jobs WHERE status IN ('pending', 'running')").rowcount:
            started = (await claim(db, worker_id, slots=5, max_running=3)).jobs
            for row in _running(sql):
                most[row.owner_id] = max(most[row.owner_id], row.jobs)
            for job in started:
                await finish(db, job.id)
            if to_cancel:
                await jobs.cancel_job(db, to_cancel.pop(), owner_id=None, act=ACT)
            await dispatch.unhold_deliveries(db, max_running=3)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(ids[place::12]) for place in range(4)))

    assert 0 < max(most.values()) <= 3
    statuses = {row.status for row in sql.execute("SELECT DISTINCT status::text FROM jobs")}
    assert statuses == {"completed", "cancelled"}


def _running(sql):
    return sql.execute("SELECT owner_id, count(*) AS jobs FROM jobs WHERE status = 'running' GROUP BY owner_id").fetchall()


async def _until_someone_waits_for_a_lock(sql):
    async with asyncio.timeout(10):
        while not sql.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").rowcount:
            await asyncio.sleep(0.01)
