"""What workers do to jobs: each verb from each status, the fences, and what a round of attempts leaves behind."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome, Verb
from jobhub.domain.lifecycle import ALLOWED_FROM, is_allowed
from jobhub.store import dispatch, retention
from jobhub.store import jobs as store
from jobhub.store.jobs import Act
from jobhub.store.statements import statements
from tests import factories
from tests.factories import job_row, make_job, make_worker

SOON = datetime.now(UTC) + timedelta(hours=1)
EVERY_STATUS = list(JobStatus)
TYPES = ["test.echo"]


def outcome(job_id, attempt=1, **fields):
    """An attempt that completed, unless `fields` say otherwise."""
    return Outcome(**{"job_id": job_id, "attempt": attempt, "outcome": AttemptOutcome.COMPLETED, "status": JobStatus.COMPLETED} | fields)


def failed(job_id, attempt=1, **fields):
    given = {"outcome": AttemptOutcome.FAILED, "status": JobStatus.FAILED, "error_code": "boom", "error_message": "It went boom."}
    return outcome(job_id, attempt, **given | fields)


def released(job_id, attempt=1):
    return outcome(job_id, attempt, outcome=AttemptOutcome.RELEASED, status=JobStatus.PENDING)


async def claim(db, worker_id, slots=10, known_types=TYPES, queues=("default",)):
    return (await dispatch.claim_jobs(db, worker_id=worker_id, queues=queues, known_types=known_types, slots=slots)).jobs


async def ids_claimed(db, worker_id, slots=10, **options):
    return [job.id for job in await claim(db, worker_id, slots, **options)]


# Each worker verb: how it is done to a job, and the status of it afterwards where the verb is allowed.


async def start(db, sql, job_id):
    if not job_row(sql, job_id).delivery_id:
        factories_delivery(sql, job_id)
    return await claim(db, make_worker(sql))


def factories_delivery(sql, job_id):
    """A delivery nobody should have made, as a late or repeated one looks."""
    sql.execute("SELECT deliver_job(%s, 'test.echo', 'default', 0)", [job_id])


async def progress(db, sql, job_id):
    return await dispatch.report_progress(db, job_id=job_id, attempt=1, percentage=50, message="half")


async def complete(db, sql, job_id):
    return await dispatch.finish_jobs(db, [outcome(job_id, result={"a": 1})])


async def fail(db, sql, job_id):
    return await dispatch.finish_jobs(db, [failed(job_id)])


async def release(db, sql, job_id):
    return await dispatch.finish_jobs(db, [released(job_id)])


async def rescue(db, sql, job_id):
    sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")
    return await dispatch.rescue_jobs(db)


async def clean_up(db, sql, job_id):
    cutoffs = [retention.Cutoff(status=status, before=datetime.now(UTC) + timedelta(days=1)) for status in JobStatus]
    by = Act(actor_id=factories.new_id())
    return (await retention.clean_up_jobs(db, cutoffs, after=retention.START, details={}, act=by)).deleted


WORKER_VERBS = {
    Verb.START: (start, "running"),
    Verb.PROGRESS: (progress, "running"),
    Verb.COMPLETE: (complete, "completed"),
    Verb.FAIL: (fail, "failed"),
    Verb.RELEASE: (release, "pending"),
    Verb.RESCUE: (rescue, "pending"),
    Verb.CLEAN_UP: (clean_up, None),
}


@pytest.mark.parametrize("status", EVERY_STATUS)
@pytest.mark.parametrize("verb", WORKER_VERBS)
async def test_a_verb_of_workers_does_something_from_where_it_is_allowed_and_nothing_elsewhere(db, sql, alice, verb, status):
    job_id = make_job(sql, alice, status=status)
    before = job_row(sql, job_id)
    do, status_after = WORKER_VERBS[verb]

    did = await do(db, sql, job_id)

    after = job_row(sql, job_id)
    if is_allowed(verb, status):
        assert did
        assert (after.status if after else None) == status_after
        assert after is None or after.version == before.version + 1
    else:
        assert not did
        assert after == before


def test_every_verb_has_a_test_of_every_status():
    by_users = {Verb.CANCEL, Verb.RETRY, Verb.FORCE_COMPLETE}  # tests/web/test_jobs.py, tests/web/test_admin.py

    assert set(WORKER_VERBS) | by_users | {Verb.SUBMIT} == set(Verb) == set(ALLOWED_FROM)


async def test_the_best_delivery_is_claimed_first(db, sql, alice):
    low, high, later_high = (make_job(sql, alice, priority=priority) for priority in (-5, 9, 9))

    first = await ids_claimed(db, make_worker(sql), slots=2)

    assert first == [high, later_high]
    assert await ids_claimed(db, make_worker(sql)) == [low]


async def test_a_claim_returns_what_it_takes_to_run_the_job_and_removes_the_delivery(db, sql, alice):
    worker_id = make_worker(sql)
    job_id = make_job(sql, alice, parameters='{"value": [1, "zwei"]}', attempt=2, failed_attempts=2, max_attempts=5)

    [claimed] = await claim(db, worker_id)

    assert (claimed.id, claimed.owner_id, claimed.job_type, claimed.attempt) == (job_id, alice.id, "test.echo", 3)
    assert (claimed.failed_attempts, claimed.max_attempts, claimed.parameters) == (2, 5, {"value": [1, "zwei"]})
    assert job_row(sql, job_id).worker_id == worker_id
    assert sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == []


async def test_a_worker_claims_only_from_its_queues(db, sql, alice):
    make_job(sql, alice, queue="other")

    assert await ids_claimed(db, make_worker(sql)) == []


@pytest.mark.parametrize("lease_seconds", [-1, None])
async def test_a_worker_without_a_lease_claims_nothing(db, sql, alice, lease_seconds):
    job_id = make_job(sql, alice)
    worker_id = make_worker(sql, lease_seconds=lease_seconds) if lease_seconds else factories.new_id()

    assert await ids_claimed(db, worker_id) == []
    assert job_row(sql, job_id).delivery_id is not None


async def test_an_older_delivery_does_nothing(db, sql, alice):
    job_id = make_job(sql, alice)
    current = job_row(sql, job_id).delivery_id
    sql.execute("UPDATE procrastinate_jobs SET queue_name = 'elsewhere' WHERE id = %s", [current])
    factories_delivery(sql, job_id)

    claim = await dispatch.claim_jobs(db, worker_id=make_worker(sql), queues=["default"], known_types=TYPES, slots=5)

    assert (claim.jobs, claim.taken) == ([], 1)
    assert job_row(sql, job_id).delivery_id == current


async def test_a_job_with_another_delivery_beside_its_own_is_started_once(db, sql, alice):
    job_id = make_job(sql, alice)
    factories_delivery(sql, job_id)

    assert await ids_claimed(db, make_worker(sql)) == [job_id]


@pytest.mark.parametrize(("unknown_for", "is_started"), [(None, False), ("59 minutes", False), ("61 minutes", True)])
async def test_a_job_of_an_unknown_type_is_put_back_for_an_hour_from_the_first_time(db, sql, alice, unknown_for, is_started):
    job_id = make_job(sql, alice, job_type="test.newer")
    sql.execute("UPDATE jobs SET due_at = now() - interval '1 day', unknown_type_since = now() - %s::interval", [unknown_for])

    claimed = await ids_claimed(db, make_worker(sql))

    row = job_row(sql, job_id)
    assert claimed == ([job_id] if is_started else [])
    assert (row.unknown_type_since is None) == is_started
    if not is_started:
        assert (row.status, row.delivery_id) == ("pending", None)
        assert 25 < (row.deliver_at - datetime.now(UTC)).total_seconds() < 31


@pytest.mark.parametrize(("seconds", "is_promoted"), [(-1, True), (60, False)])
async def test_a_job_is_promoted_when_its_time_has_come(db, sql, alice, seconds, is_promoted):
    job_id = make_job(sql, alice, scheduled_for=datetime.now(UTC) + timedelta(seconds=seconds))

    promoted = await dispatch.promote_jobs(db)

    assert promoted == int(is_promoted)
    assert await ids_claimed(db, make_worker(sql)) == ([job_id] if is_promoted else [])


async def test_progress_never_goes_backwards_and_keeps_the_last_message(db, sql, alice):
    job_id = make_job(sql, alice, status="running")
    reports = [(10, "ten"), (50, None), (40, "late"), (50, None), (50, "fifty")]

    taken = [
        await dispatch.report_progress(db, job_id=job_id, attempt=1, percentage=percentage, message=message)
        for percentage, message in reports
    ]

    assert taken == [True, True, False, False, True]
    assert (job_row(sql, job_id).progress_percentage, job_row(sql, job_id).progress_message) == (50, "fifty")


async def test_an_outcome_of_another_attempt_is_fenced_off(db, sql, alice):
    job_id = make_job(sql, alice, status="running", attempt=2)
    before = job_row(sql, job_id)

    recorded = await dispatch.finish_jobs(db, [outcome(job_id, attempt=1), outcome(job_id, attempt=3)])
    reported = await dispatch.report_progress(db, job_id=job_id, attempt=1, percentage=99, message=None)

    assert (recorded, reported) == ([], False)
    assert job_row(sql, job_id) == before


async def test_outcomes_of_one_batch_are_judged_each_for_itself(db, sql, alice):
    good, bad, gone, again = (make_job(sql, alice, status="running") for _ in range(4))
    sql.execute("UPDATE jobs SET attempt = 2 WHERE id = %s", [gone])

    recorded = await dispatch.finish_jobs(
        db, [outcome(good, result=[1]), failed(bad), outcome(gone), failed(again, status=JobStatus.PENDING, delay_seconds=60.0)]
    )

    assert {found.job_id: found.status for found in recorded} == {good: "completed", bad: "failed", again: "pending"}
    assert (job_row(sql, good).result, job_row(sql, good).progress_percentage) == ([1], 100)
    assert (job_row(sql, bad).error_code, job_row(sql, bad).failed_attempts) == ("boom", 1)
    assert job_row(sql, gone).status == "running"


@pytest.mark.parametrize("result", [[1, 2], [], [[1], [2, 3]], [None], {"a": [1]}, {}, "text", "", 0, 1.5, True, False, None])
async def test_a_result_of_any_json_type_is_kept_as_it_is(db, sql, alice, result):
    job_id = make_job(sql, alice, status="running")

    await dispatch.finish_jobs(db, [outcome(job_id, result=result)])

    job = await store.get_job(db, job_id, owner_id=None)
    assert job.result == result
    assert type(job.result) is type(result)


async def test_a_failure_with_attempts_left_waits_for_its_backoff_and_keeps_its_error(db, sql, alice):
    job_id = make_job(sql, alice, status="running", max_attempts=3)

    await dispatch.finish_jobs(db, [failed(job_id, status=JobStatus.PENDING, delay_seconds=60.0)])

    row = job_row(sql, job_id)
    assert (row.status, row.delivery_id, row.failed_attempts, row.error_code) == ("pending", None, 1, "boom")
    assert row.deliver_at == row.due_at == row.scheduled_for
    assert 55 < (row.deliver_at - datetime.now(UTC)).total_seconds() < 61
    assert await ids_claimed(db, make_worker(sql)) == []


async def test_a_released_job_is_due_at_once_and_has_not_failed(db, sql, alice):
    job_id = make_job(sql, alice, status="running", progress_percentage=30)

    await dispatch.finish_jobs(db, [released(job_id)])

    assert job_row(sql, job_id).failed_attempts == 0
    [claimed] = await claim(db, make_worker(sql))
    assert (claimed.id, claimed.attempt, claimed.failed_attempts) == (job_id, 2, 0)
    assert job_row(sql, job_id).progress_percentage == 0


@pytest.mark.parametrize("ending", ["released", "failed", "worker_lost"])
async def test_a_job_that_was_asked_to_stop_is_cancelled_instead_of_queued_again(db, sql, alice, ending):
    job_id = make_job(sql, alice, status="running")
    await store.cancel_job(db, job_id, owner_id=None, act=Act(actor_id=alice.id))

    if ending == "worker_lost":
        await rescue(db, sql, job_id)
    elif ending == "released":
        await dispatch.finish_jobs(db, [released(job_id)])
    else:
        await dispatch.finish_jobs(db, [failed(job_id, status=JobStatus.PENDING, delay_seconds=60.0)])

    row = job_row(sql, job_id)
    assert (row.status, row.delivery_id, row.deliver_at) == ("cancelled", None, None)
    [attempt] = await store.list_attempts(db, job_id)
    assert attempt.outcome == ending


async def test_a_job_that_completes_although_it_was_asked_to_stop_is_completed(db, sql, alice):
    job_id = make_job(sql, alice, status="running")
    await store.cancel_job(db, job_id, owner_id=None, act=Act(actor_id=alice.id))

    [recorded] = await dispatch.finish_jobs(db, [outcome(job_id)])

    assert recorded.status == "completed"


async def test_the_third_lost_worker_fails_the_job(db, sql, alice):
    job_id = make_job(sql, alice)
    seen = []
    for _ in range(3):
        await claim(db, make_worker(sql))
        [rescued] = await rescue(db, sql, job_id)
        seen.append((rescued.attempt, str(rescued.status)))

    assert seen == [(1, "pending"), (2, "pending"), (3, "failed")]
    assert (job_row(sql, job_id).error_code, job_row(sql, job_id).failed_attempts) == ("worker_lost", 0)
    assert [attempt.outcome for attempt in await store.list_attempts(db, job_id)] == ["worker_lost"] * 3


async def test_jobs_of_a_live_worker_are_not_rescued_and_those_of_a_removed_one_are(db, sql, alice):
    alive, removed = make_worker(sql), make_worker(sql)
    kept = make_job(sql, alice, status="running", worker_id=alive)
    lost = make_job(sql, alice, status="running", worker_id=removed)
    await dispatch.remove_worker(db, removed)

    rescued = await dispatch.rescue_jobs(db)

    assert [found.job_id for found in rescued] == [lost]
    assert job_row(sql, kept).status == "running"


async def test_a_worker_is_told_what_it_runs_and_what_it_must_stop(db, sql, alice):
    worker_id = make_worker(sql)
    quiet, asked = (make_job(sql, alice, status="running", worker_id=worker_id) for _ in range(2))
    make_job(sql, alice, status="running")
    make_job(sql, alice, status="completed", worker_id=worker_id)
    await store.cancel_job(db, asked, owner_id=None, act=Act(actor_id=alice.id))

    running = await dispatch.list_running_jobs(db, worker_id)

    assert running == [dispatch.RunningJob(quiet, 1, cancel_requested=False), dispatch.RunningJob(asked, 1, cancel_requested=True)]


async def test_a_claim_is_forgotten_when_nothing_of_it_runs_any_more(db, sql, alice):
    worker_id, other = make_worker(sql), make_worker(sql)
    first, second = make_job(sql, alice), make_job(sql, alice)
    await claim(db, worker_id)
    make_job(sql, alice)
    await claim(db, other)

    forgotten = [await dispatch.forget_claims(db, worker_id)]
    for job_id in (first, second):
        await dispatch.finish_jobs(db, [outcome(job_id)])
        forgotten.append(await dispatch.forget_claims(db, worker_id))

    assert forgotten == [0, 0, 1]
    assert [row.worker_id for row in sql.execute("SELECT worker_id FROM claims").fetchall()] == [other]


async def test_claims_of_lost_workers_are_forgotten_by_others_once_their_jobs_are_rescued(db, sql, alice):
    make_job(sql, alice)
    await claim(db, make_worker(sql))
    sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")
    other = make_worker(sql)

    before = await dispatch.forget_claims(db, other)
    await dispatch.rescue_jobs(db)

    assert (before, await dispatch.forget_claims(db, other)) == (0, 1)


def test_claims_are_forgotten_one_by_one_also_by_a_plan_made_when_there_was_none(sql, alice):
    """Not each of them for each: the pages that are looked at grow with the claims, not with their square."""
    worker_id, claims = make_worker(sql), 300
    for name, value in dispatch.PLANNER_SETTINGS.items():
        sql.execute(f"SET {name} = {value}")
    sql.execute("VACUUM ANALYZE claims, jobs, workers")
    psycopg.RawCursor(sql).execute(f"PREPARE forget (uuid) AS {statements()['forget_claims'].sql}".encode())
    sql.execute(f"EXECUTE forget ('{worker_id}')")  # as a worker does when it has just started
    job_ids = [make_job(sql, alice, status="completed", worker_id=worker_id) for _ in range(10)]
    sql.execute("INSERT INTO claims (worker_id, job_ids) SELECT %s, %s FROM generate_series(1, %s)", [worker_id, job_ids, claims])

    [(found,)] = sql.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE forget ('{worker_id}')").fetchall()

    assert found[0]["Plan"]["Shared Hit Blocks"] < claims * (len(job_ids) * 3 + 10)
    assert sql.execute("SELECT FROM claims").fetchall() == []


async def test_a_job_claimed_twice_by_a_lost_worker_is_rescued_once(db, sql, alice):
    job_id, worker_id = make_job(sql, alice), make_worker(sql)
    await claim(db, worker_id)
    await dispatch.finish_jobs(db, [released(job_id)])
    await claim(db, worker_id)
    sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")

    [rescued] = await dispatch.rescue_jobs(db)

    assert (rescued.job_id, rescued.attempt) == (job_id, 2)


async def test_a_lease_is_fifteen_seconds_and_a_removed_row_comes_back(db, sql):
    fields = {"host": "h", "pid": 1, "version": "1", "queues": ["default"], "concurrency": 5, "loop_lag_ms": 3, "stopping": False}
    worker = dispatch.WorkerRow(worker_id=factories.new_id(), **fields)

    until = [await dispatch.renew_lease(db, worker)]
    await dispatch.remove_worker(db, worker.worker_id)
    until.append(await dispatch.renew_lease(db, worker))

    assert all(14 < (lease - datetime.now(UTC)).total_seconds() <= 15.5 for lease in until)
    assert await dispatch.count_live_workers(db) == 1


async def test_only_workers_dead_for_a_day_are_forgotten(db, sql):
    kept = [make_worker(sql), make_worker(sql, lease_seconds=-86_000)]
    make_worker(sql, lease_seconds=-86_500)

    assert await dispatch.remove_dead_workers(db) == 1
    assert [row.id for row in sql.execute("SELECT id FROM workers ORDER BY id").fetchall()] == kept


@pytest.mark.parametrize(("status", "code"), [(JobStatus.PENDING, None), (JobStatus.FAILED, "worker_lost")])
async def test_an_attempt_lost_with_its_own_process_is_counted_like_one_lost_with_its_worker(db, sql, alice, status, code):
    job_id = make_job(sql, alice, status="running", attempt=2, lost_attempts=1)
    lost = {"outcome": AttemptOutcome.WORKER_LOST, "status": status, "error_code": "worker_lost", "error_message": "It disappeared."}

    await dispatch.finish_jobs(db, [outcome(job_id, 2, **lost, traceback="ended with status 7")])

    row = job_row(sql, job_id)
    assert (row.status, row.error_code, row.lost_attempts, row.failed_attempts) == (status, code, 2, 0)
    assert (row.delivery_id is not None) == (status is JobStatus.PENDING)
    attempt = sql.execute("SELECT * FROM job_attempts").fetchone()
    assert (attempt.outcome, attempt.error_code, attempt.traceback) == ("worker_lost", "worker_lost", "ended with status 7")


async def test_a_claim_says_how_many_attempts_were_lost(db, sql, alice):
    make_job(sql, alice, attempt=2, lost_attempts=2)

    [job] = await claim(db, make_worker(sql))

    assert job.lost_attempts == 2
