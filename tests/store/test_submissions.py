"""Submits that share statements: who gets what, beside bad neighbours, impatient ones, and through an outage."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest

from jobhub.domain.errors import DatabaseUnavailable, InvalidInput
from jobhub.store import jobs
from jobhub.store import submissions as module
from jobhub.store.database import Database
from jobhub.store.jobs import IdempotencyKey, NewJob
from jobhub.store.statements import bind
from jobhub.store.submissions import Submissions
from tests import factories
from tests.factories import job_row, make_job, make_worker
from tests.worker.relay import relay_to


def new_job(owner, **fields):
    given = {"job_type": "test.echo", "queue": "default", "title": "x", "description": None, "parameters": {}, "tags": [], "priority": 0}
    return NewJob(**{"id": factories.new_id(), "owner_id": owner.id, "max_attempts": 1, "scheduled_for": None} | given | fields)


def a_key(name, body=b"1"):
    return IdempotencyKey(key=name, body_sha256=body * 32)


@pytest.fixture
def carried(monkeypatch):
    """The ids each statement carried."""
    calls = []
    real = jobs.submit_jobs

    async def submit_jobs(db, submits, limits):
        calls.append([submit.job.id for submit in submits])
        return await real(db, submits, limits)

    monkeypatch.setattr(jobs, "submit_jobs", submit_jobs)
    return calls


@pytest.fixture
def submissions(db):
    return Submissions(db)


async def submit_all(submissions, new_jobs, keys=None):
    """All at once: they share the first statement."""
    keys = keys or [None] * len(new_jobs)
    pairs = zip(new_jobs, keys, strict=True)
    return await asyncio.gather(*(submissions.submit(job, key) for job, key in pairs), return_exceptions=True)


def stored_ids(sql):
    return {row.id for row in sql.execute("SELECT id FROM jobs").fetchall()}


def delivered_ids(sql):
    return [row.id for row in sql.execute("SELECT (args ->> 'job_id')::uuid AS id FROM procrastinate_jobs ORDER BY id").fetchall()]


async def test_submits_that_arrive_together_share_a_statement_and_keep_their_order(submissions, carried, sql, alice):
    new = [new_job(alice) for _ in range(5)]

    answers = await submit_all(submissions, new)

    assert carried == [[job.id for job in new]]
    assert [job.id for job, _ in answers] == [job.id for job in new] == delivered_ids(sql)
    for job in new:
        row = job_row(sql, job.id)
        assert sql.execute("SELECT args ->> 'job_id' FROM procrastinate_jobs WHERE id = %s", [row.delivery_id]).fetchone() == (str(job.id),)


async def test_the_answer_is_the_job_as_it_is_stored(submissions, db, alice):
    plus_two = datetime.fromisoformat("2001-02-03T04:05:06.789+02:00")
    given = [
        new_job(alice),
        new_job(
            alice,
            description="a\nb",
            parameters={"list": [1, 2.5, None, [True]], "ü": {"": "\\ 😀"}},
            tags=["b", "a", 'quo"te', "{x,y}", "NULL"],
            priority=-7,
            max_attempts=3,
            scheduled_for=plus_two,
        ),
        new_job(alice, scheduled_for=datetime.now(UTC) + timedelta(hours=1)),
    ]

    answers = await submit_all(submissions, given)

    assert [job for job, _ in answers] == [await jobs.get_job(db, job.id, owner_id=None) for job in given]


async def test_places_are_what_a_look_at_the_queue_would_say(submissions, db, sql, alice):
    make_worker(sql, queues=("default",))
    for priority in (0, 0, 5, -5):
        make_job(sql, alice, priority=priority)
    make_job(sql, alice, queue="other", priority=9)
    later = datetime.now(UTC) + timedelta(hours=1)
    given = [
        *(new_job(alice, priority=priority) for priority in (0, 5, 0, -9, 7)),
        new_job(alice, queue="other"),
        new_job(alice, scheduled_for=later, priority=100),
    ]

    answers = await submit_all(submissions, given)

    places = {job.id: place for job, place in answers}
    assert places == await jobs.queue_places(db, [job.id for job in given])
    assert [places[job.id].position for job in given] == [6, 3, 7, 9, 1, 2, None]
    assert [places[job.id].reason for job in given] == ["queued"] * 5 + ["no_worker", "scheduled"]


async def test_a_position_is_counted_up_to_a_thousand(submissions, sql, alice):
    sql.execute("SELECT count(deliver_job(gen_random_uuid(), 'test.echo', 'default', 0)) FROM generate_series(1, 998)")

    answers = await submit_all(submissions, [new_job(alice) for _ in range(4)])

    assert [place.position for _, place in answers] == [999, 1000, 1000, 1000]


def test_a_place_is_never_found_by_reading_the_whole_queue(dsn, sql, alice):
    """Not even by a plan that was made while the queue was short."""
    for _ in range(3):
        make_job(sql, alice)
    sql.execute("VACUUM ANALYZE procrastinate_jobs")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT deliveries_before('default', 0, 9223372036854775807)").fetchone() == (3,)

        query = "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'procrastinate_jobs'"
        assert connection.execute(query).fetchone() == (0, 1)


@pytest.mark.parametrize("bad", [{"title": ""}, {"title": "\ud800"}, {"title": 5}, {"priority": 70_000}, {"parameters": {"a": "\0"}}])
async def test_one_that_can_not_be_stored_fails_alone(submissions, sql, alice, bad):
    new = [new_job(alice, parameters={"n": n}) for n in range(6)]
    new[2] = new_job(alice, **bad)

    answers = await submit_all(submissions, new, [a_key(str(n)) for n in range(6)])

    assert isinstance(answers[2], asyncpg.PostgresError | ValueError | InvalidInput)
    assert [isinstance(answer, Exception) for answer in answers].count(True) == 1
    assert stored_ids(sql) == {job.id for job in new} - {new[2].id}
    assert len(delivered_ids(sql)) == sql.execute("SELECT count(*) FROM idempotency_keys").fetchone()[0] == 5


async def test_what_can_not_be_encoded_never_joins_the_others(submissions, carried, alice):
    bad = new_job(alice, parameters={"a": object()})

    answers = await submit_all(submissions, [new_job(alice), bad, new_job(alice)])

    assert isinstance(answers[1], TypeError)
    assert [len(ids) for ids in carried] == [2]


async def test_of_two_with_one_key_in_a_statement_the_first_wins(submissions, carried, sql, alice, bob):
    new = [new_job(alice), new_job(alice), new_job(bob), new_job(alice)]

    answers = await submit_all(submissions, new, [a_key("k"), a_key("k", b"2"), a_key("k"), a_key("other")])

    assert len(carried) == 1
    assert [answer is not None for answer in answers] == [True, False, True, True]
    assert stored_ids(sql) == {new[index].id for index in (0, 2, 3)}
    assert await jobs.find_idempotency_key(submissions._db, alice.id, "k") == (new[0].id, b"1" * 32)


async def test_a_batch_has_limits(submissions, carried, alice, monkeypatch):
    big = new_job(alice, parameters={"a": "x" * (module.MAX_PARAMETERS_BYTES // 2)})

    await submit_all(submissions, [big, big_copy(big), new_job(alice)])
    await submit_all(submissions, [new_job(alice) for _ in range(module.MAX_JOBS + 1)])

    assert [len(ids) for ids in carried] == [1, 2, module.MAX_JOBS, 1]


def big_copy(job):
    return NewJob(**{name: getattr(job, name) for name in job.__struct_fields__} | {"id": factories.new_id()})


async def test_who_goes_away_during_the_statement_disturbs_no_other(submissions, carried, sql, alice):
    new = [new_job(alice) for _ in range(3)]
    tasks = [asyncio.create_task(submissions.submit(job, None)) for job in new]
    async with asyncio.timeout(10):
        while not carried:
            await asyncio.sleep(0)

    tasks[0].cancel()

    assert [(await task)[0].id for task in tasks[1:]] == [job.id for job in new[1:]]
    assert stored_ids(sql) == {job.id for job in new}


async def test_two_statements_with_the_same_keys_in_opposite_order_do_not_lock_each_other_out(dsn, sql, alice):
    """The first one is held up between two keys; if the second one had locked the later of them by then, they would wait for each other."""
    new = [new_job(alice) for _ in range(5)]
    keys = {name: a_key(name) for name in "amz"}
    async with Database.open(dsn, max_size=2, application_name="tests") as db, db.session() as first, db.session() as second:
        with psycopg.connect(dsn) as other:
            submit_on(other, [new[0]], [keys["m"]])
            held_up = asyncio.create_task(
                jobs.submit_jobs(first, [submit(new[n], keys[name]) for n, name in ((1, "z"), (2, "m"), (3, "a"))])
            )
            await blocked(sql, 1)
            behind = asyncio.create_task(jobs.submit_jobs(second, [submit(new[1], keys["z"]), submit(new[4], keys["a"])]))
            await blocked(sql, 2)

            other.commit()

        answers = [await held_up, await behind]
    assert [[answer is not None for answer in each] for each in answers] == [[True, False, True], [False, False]]
    assert stored_ids(sql) == {new[n].id for n in (0, 1, 3)}


async def test_a_key_whose_first_request_failed_is_free_for_the_one_that_waited(dsn, sql, alice):
    new = [new_job(alice) for _ in range(2)]
    async with Database.open(dsn, max_size=1, application_name="tests") as db:
        with psycopg.connect(dsn) as other:
            submit_on(other, [new[0]], [a_key("k")])
            waiting = asyncio.create_task(jobs.submit_jobs(db, [submit(new[1], a_key("k"))]))
            await blocked(sql, 1)

            other.rollback()

        [stored] = await waiting
    assert stored[0].id == new[1].id
    assert stored_ids(sql) == {new[1].id}


def submit(job, key):
    return jobs.Submit(job, key, jobs.encode_parameters(job))


def submit_on(connection, new_jobs, keys):
    """The statement in a transaction of the test."""
    statement, values = bind("submit_jobs", columns(new_jobs, keys))
    psycopg.RawCursor(connection).execute(statement.sql.encode(), values)


def columns(new_jobs, keys):
    plain = {
        "ids": "id",
        "owner_ids": "owner_id",
        "job_types": "job_type",
        "queues": "queue",
        "titles": "title",
        "descriptions": "description",
        "priorities": "priority",
        "max_attempts": "max_attempts",
        "scheduled_for": "scheduled_for",
    }
    return {name: [getattr(job, field) for job in new_jobs] for name, field in plain.items()} | {
        "parameters": ["{}"] * len(new_jobs),
        "tags": ["[]"] * len(new_jobs),
        "keys": [key.key for key in keys],
        "bodies_sha256": [key.body_sha256 for key in keys],
        "max_per_minute": 0,
        "max_pending": 0,
    }


async def blocked(sql, count):
    """Until so many submits wait for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%submit_jobs%' AND datname = current_database()"
    async with asyncio.timeout(10):
        while len(sql.execute(query).fetchall()) < count:
            await asyncio.sleep(0.01)


async def test_an_outage_fails_those_it_met_once_and_stores_nothing_twice(dsn, sql, alice):
    async with relay_to(dsn) as relay, Database.open(relay.dsn, max_size=2, application_name="tests") as db:
        submissions = Submissions(db)
        before, during, after = [[new_job(alice) for _ in range(3)] for _ in range(3)]
        await submit_all(submissions, before)

        relay.cut()
        met = await submit_all(submissions, during)
        relay.restore()
        relay.is_refusing = False
        await submit_all(submissions, after)

    assert [type(answer) for answer in met] == [DatabaseUnavailable] * 3
    assert stored_ids(sql) == {job.id for job in before + after}
    assert sorted(delivered_ids(sql)) == sorted(stored_ids(sql))


async def test_after_a_lost_answer_to_the_commit_the_key_finds_the_one_job(dsn, sql, alice):
    new, again = [new_job(alice) for _ in range(2)], new_job(alice)
    async with relay_to(dsn) as relay, Database.open(relay.dsn, max_size=1, application_name="tests") as db:
        submissions = Submissions(db)
        await submissions.submit(new_job(alice), None)  # the statement is prepared, the next one is a single message
        with psycopg.connect(dsn) as blocker:
            blocker.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")  # the statement arrives, and its answer will not
            tasks = [asyncio.create_task(submissions.submit(job, a_key(f"k{index}"))) for index, job in enumerate(new)]
            await blocked(sql, 1)
            relay.cut()
            lost = await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            while not {job.id for job in new} <= stored_ids(sql):
                await asyncio.sleep(0.01)
        relay.restore()
        relay.is_refusing = False

        answer = await submissions.submit(again, a_key("k0"))
        found = await jobs.find_idempotency_key(db, alice.id, "k0")

    assert [type(answer) for answer in lost] == [DatabaseUnavailable] * 2
    assert answer is None
    assert found == (new[0].id, b"1" * 32)
    assert again.id not in stored_ids(sql)
