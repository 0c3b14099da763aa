"""What a user's limits refuse: never one too many, whatever happens at once, and nobody else is hurt."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.domain.limits import Limits
from jobhub.store import dispatch, jobs, repair
from jobhub.store.database import Database
from jobhub.store.jobs import Act, Refused
from jobhub.store.statements import bind
from jobhub.store.submissions import Submissions
from tests.factories import job_row, make_job, make_user, make_worker
from tests.store.test_submissions import a_key, blocked, columns, new_job, stored_ids, submit, submit_all

ONE_EACH = [Limits(submits_per_minute=1), Limits(pending_jobs=1)]
RATE, PENDING = "submit_rate_exceeded", "too_many_pending_jobs"
LATER = datetime.now(UTC) + timedelta(hours=1)


def codes(answers):
    """What became of each submit: a limit's code, `stored`, or None where its key stands for another."""
    return [answer.code if isinstance(answer, Refused) else answer and "stored" for answer in answers]


async def submit_within(db, limits, new_jobs, keys=None):
    """In one statement."""
    pairs = zip(new_jobs, keys or [None] * len(new_jobs), strict=True)
    return await jobs.submit_jobs(db, [submit(job, key) for job, key in pairs], limits)


@pytest.mark.parametrize(("limits", "code"), [(Limits(submits_per_minute=3), RATE), (Limits(pending_jobs=3), PENDING)])
async def test_those_beyond_the_limit_are_refused_and_leave_nothing(db, sql, alice, limits, code):
    new = [new_job(alice) for _ in range(5)]

    answers = await submit_all(Submissions(db, limits), new, [a_key(str(n)) for n in range(5)])

    assert codes(answers) == ["stored"] * 3 + [code] * 2
    assert stored_ids(sql) == {job.id for job in new[:3]}
    assert {row.job_id for row in sql.execute("SELECT job_id FROM idempotency_keys").fetchall()} == {job.id for job in new[:3]}
    assert sql.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (3,)


async def test_the_rate_is_told_first_and_neither_limit_hides_the_other(db, alice):
    new = [new_job(alice) for _ in range(4)]

    assert codes(await submit_within(db, Limits(submits_per_minute=2, pending_jobs=3), new)) == ["stored"] * 2 + [RATE] * 2
    assert codes(await submit_within(db, Limits(submits_per_minute=9, pending_jobs=3), new[2:])) == ["stored", PENDING]


async def test_a_neighbour_in_the_statement_is_not_hurt(db, alice, bob):
    new = [new_job(owner) for owner in (alice, alice, bob, alice)]

    answers = await submit_within(db, Limits(submits_per_minute=1, pending_jobs=9), new)

    assert codes(answers) == ["stored", RATE, "stored", RATE]
    assert [answers[index][0].id for index in (0, 2)] == [new[0].id, new[2].id]


async def test_the_minute_slides(db, sql, alice):
    limits = Limits(submits_per_minute=2)
    old = [make_job(sql, alice, status="completed") for _ in range(2)]

    def age(seconds, job_id):
        sql.execute("UPDATE jobs SET created_at = now() - make_interval(secs => %s) WHERE id = %s", [seconds, job_id])

    age(40, old[0])
    [refused] = await submit_within(db, limits, [new_job(alice)])
    assert refused.code == RATE
    assert 10 <= refused.retry_after_seconds <= 20  # when the older one is a minute old

    age(60, old[0])
    assert codes(await submit_within(db, limits, [new_job(alice), new_job(alice)])) == ["stored", RATE]


@pytest.mark.parametrize("status", JobStatus)
async def test_only_pending_jobs_are_counted_as_pending(db, sql, alice, bob, status):
    make_job(sql, alice, status=status)
    make_job(sql, alice, scheduled_for=LATER)
    make_job(sql, bob)

    usage = await jobs.get_usage(db, alice.id)

    assert usage.pending_jobs == 1 + (status is JobStatus.PENDING)
    assert usage.submits_per_minute == 2


async def released(db, sql, job_id):
    assert await dispatch.finish_jobs(db, [Outcome(job_id=job_id, attempt=1, outcome=AttemptOutcome.RELEASED, status=JobStatus.PENDING)])


async def rescued(db, sql, job_id):
    sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")
    assert await dispatch.rescue_jobs(db)


async def retried(db, sql, job_id):
    assert await jobs.retry_job(db, job_id, owner_id=None, act=Act(actor_id=None))


async def promoted(db, sql, job_id):
    sql.execute("UPDATE jobs SET deliver_at = now() WHERE id = %s", [job_id])
    assert await dispatch.promote_jobs(db)


async def repaired(db, sql, job_id):
    sql.execute("DELETE FROM procrastinate_jobs")
    assert (await repair.repair_deliveries(db, repair.START))[0] == 1


# (from which state, the way back to the queue)
WAYS = [
    ("running", released),
    ("running", rescued),
    ("failed", retried),
    ("scheduled", promoted),
    ("pending", repaired),
]


@pytest.mark.parametrize(("state", "way"), WAYS, ids=lambda value: getattr(value, "__name__", value))
async def test_a_job_that_comes_back_is_counted_for_its_owner(db, sql, alice, state, way):
    job_id = make_job(sql, alice, scheduled_for=LATER) if state == "scheduled" else make_job(sql, alice, status=state)

    await way(db, sql, job_id)

    assert job_row(sql, job_id).delivery_id is not None
    assert (await jobs.get_usage(db, alice.id)).pending_jobs == 1


async def test_there_is_room_again_when_a_job_has_started_or_was_cancelled(db, sql, alice):
    limits = Limits(pending_jobs=2)
    new = [new_job(alice), new_job(alice, scheduled_for=LATER)]
    assert codes(await submit_within(db, limits, [*new, new_job(alice)])) == ["stored", "stored", PENDING]

    await dispatch.claim_jobs(db, worker_id=make_worker(sql), queues=["default"], known_types=["test.echo"], slots=1)
    assert codes(await submit_within(db, limits, [new_job(alice), new_job(alice)])) == ["stored", PENDING]

    await jobs.cancel_job(db, new[1].id, owner_id=alice.id, act=Act(actor_id=alice.id))
    assert codes(await submit_within(db, limits, [new_job(alice), new_job(alice)])) == ["stored", PENDING]


@pytest.mark.parametrize("limits", ONE_EACH)
async def test_a_repetition_costs_nothing_and_a_refusal_does_not_use_up_the_key(db, sql, alice, limits):
    [first] = await submit_within(db, limits, [new_job(alice)], [a_key("k")])

    again = await submit_within(db, limits, [new_job(alice), new_job(alice)], [a_key("k"), a_key("other")])
    assert codes(again) == [None, RATE if limits.submits_per_minute else PENDING]

    sql.execute("UPDATE jobs SET created_at = now() - interval '1 minute'")
    await jobs.cancel_job(db, first[0].id, owner_id=alice.id, act=Act(actor_id=alice.id))
    assert codes(await submit_within(db, limits, [new_job(alice)], [a_key("other")])) == ["stored"]


@pytest.mark.parametrize("limit", [1, 2])
async def test_several_with_one_key_in_a_statement_count_once(db, alice, limit):
    new = [new_job(alice) for _ in range(4)]
    keys = [a_key("a"), a_key("a"), a_key("b"), a_key("b")]

    answers = await submit_within(db, Limits(submits_per_minute=limit), new, keys)

    assert codes(answers) == ["stored", None, *(["stored", None] if limit == 2 else [RATE, RATE])]


@pytest.mark.parametrize("limits", ONE_EACH)
@pytest.mark.parametrize("ends_with", ["commit", "rollback"])
async def test_the_last_place_goes_to_one_of_two_statements(dsn, db, sql, alice, limits, ends_with):
    """The second one waits for the first, and then sees what became of it."""
    given = {"max_per_minute": limits.submits_per_minute, "max_pending": limits.pending_jobs}
    statement, values = bind("submit_jobs", columns([new_job(alice)], [a_key("k")]) | given)
    with psycopg.connect(dsn) as first:
        psycopg.RawCursor(first).execute(statement.sql.encode(), values)
        second = asyncio.create_task(submit_within(db, limits, [new_job(alice)]))
        await blocked(sql, 1)

        getattr(first, ends_with)()

        [answer] = codes(await second)
    assert (answer == "stored") is (ends_with == "rollback")
    assert len(stored_ids(sql)) == 1


async def test_two_statements_with_the_same_owners_in_opposite_order_do_not_lock_each_other_out(dsn, sql):
    """The first one is held up between two owners; with the later of them locked by the second one, they would wait for each other."""
    users = [make_user(sql, f"{n}@example.org") for n in range(3)]
    hashes = {user.id: sql.execute("SELECT hashtext(%s::uuid::text) AS hash", [user.id]).fetchone().hash for user in users}
    low, middle, high = sorted(users, key=lambda user: hashes[user.id])
    limits = Limits(submits_per_minute=9)
    async with Database.open(dsn, max_size=2, application_name="tests") as db, db.session() as first, db.session() as second:
        with psycopg.connect(dsn) as other:
            other.execute("SELECT pg_advisory_xact_lock(720364186, %s)", [hashes[middle.id]])
            held_up = asyncio.create_task(submit_within(first, limits, [new_job(user) for user in (high, middle, low)]))
            await blocked(sql, 1)
            behind = asyncio.create_task(submit_within(second, limits, [new_job(user) for user in (low, high)]))
            await blocked(sql, 2)

            other.commit()

        assert codes([*await held_up, *await behind]) == ["stored"] * 5


async def test_without_limits_nobody_waits_for_a_lock(dsn, db, sql, alice):
    with psycopg.connect(dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(720364186, hashtext(%s::uuid::text))", [alice.id])

        assert codes(await submit_within(db, Limits(), [new_job(alice)])) == ["stored"]


def test_no_table_is_read_as_a_whole_and_each_owner_is_counted_once(dsn, sql, alice):
    """Not even by a plan that was made while the tables were short."""
    for _ in range(3):
        make_job(sql, alice)
    sql.execute("VACUUM ANALYZE")
    with psycopg.connect(dsn) as connection:
        call = "SELECT place, code FROM refused_submits(array_fill(%s::uuid, ARRAY[9]), array_fill(NULL::text, ARRAY[9]), 3, 3)"
        assert connection.execute(call, [alice.id]).fetchall() == [(place, RATE) for place in range(1, 10)]

        scans = (
            "SELECT relname, seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname IN ('jobs', 'procrastinate_jobs') ORDER BY 1"
        )
        assert connection.execute(scans).fetchall() == [("jobs", 0, 2), ("procrastinate_jobs", 0, 1)]
