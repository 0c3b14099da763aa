"""Everything that happens to jobs is counted once, whoever is interrupted; and folded once, whoever folds."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.domain.spans import PASSING, Resolution
from jobhub.store import dispatch, rollups
from jobhub.store import jobs as store
from jobhub.store.jobs import Act
from jobhub.store.reporting import list_reports
from tests.factories import make_job, make_worker

ACT = Act(actor_id=None, reason="a test", request_id="r")
PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus


def changes(sql) -> list[tuple]:
    """What was counted and is not folded yet, without times."""
    rows = sql.execute(
        "SELECT status::text, error_code, jobs, outcome::text, attempts, cardinality(waiting_buckets) AS measured"
        " FROM job_stat_changes ORDER BY id"
    )
    return [tuple(row) for row in rows]


def drift(sql, **parameters) -> list:
    report = list_reports()["rollup_drift"]
    cursor = psycopg.RawCursor(sql, row_factory=psycopg.rows.tuple_row)
    return cursor.execute(report.statement.sql.encode(), report.values(parameters)).fetchall()


async def fold_all(db) -> None:
    while await rollups.fold_job_stats(db):
        pass


def stored(sql, column: str) -> dict[str, int]:
    """One figure by resolution."""
    rows = sql.execute(f"SELECT resolution::text, sum({column})::bigint AS figure FROM job_stats GROUP BY 1").fetchall()
    return {row.resolution: row.figure for row in rows}


def outcome(job_id, how=AttemptOutcome.COMPLETED, status=COMPLETED, *, attempt=1, error_code=None, delay_seconds=0.0) -> Outcome:
    message = f"It went {error_code}." if error_code else None
    return Outcome(
        job_id=job_id,
        attempt=attempt,
        outcome=how,
        status=status,
        error_code=error_code,
        error_message=message,
        delay_seconds=delay_seconds,
    )


# (how the attempt ends, the status asked for, its error code, whether it was asked to stop, what is counted)
ENDINGS = [
    (AttemptOutcome.COMPLETED, COMPLETED, None, False, ("completed", None, 1, "completed", 1, 1)),
    (AttemptOutcome.FAILED, FAILED, "boom", False, ("failed", "boom", 1, "failed", 1, 1)),
    (AttemptOutcome.FAILED, PENDING, "boom", False, (None, None, 0, "failed", 1, 1)),
    (AttemptOutcome.FAILED, PENDING, "boom", True, ("cancelled", None, 1, "failed", 1, 1)),
    (AttemptOutcome.CANCELLED, CANCELLED, None, True, ("cancelled", None, 1, "cancelled", 1, 0)),
    (AttemptOutcome.RELEASED, PENDING, None, False, (None, None, 0, "released", 1, 0)),
    (AttemptOutcome.WORKER_LOST, PENDING, "worker_lost", False, (None, None, 0, "worker_lost", 1, 0)),
    (AttemptOutcome.WORKER_LOST, FAILED, "worker_lost", False, ("failed", "worker_lost", 1, "worker_lost", 1, 0)),
]


@pytest.mark.parametrize(("how", "status", "error_code", "is_asked_to_stop", "counted"), ENDINGS)
async def test_each_ending_of_an_attempt_is_counted(db, sql, alice, how, status, error_code, is_asked_to_stop, counted):
    asked = {"cancel_requested_at": datetime.now(UTC)} if is_asked_to_stop else {}
    job_id = make_job(sql, alice, status="running", **asked)

    await dispatch.finish_jobs(db, [outcome(job_id, how, status, error_code=error_code)])

    assert changes(sql) == [counted]
    assert drift(sql) == []


async def test_endings_that_are_alike_are_one_change(db, sql, alice):
    ids = [make_job(sql, alice, status="running", job_type=job_type) for job_type in ("test.echo", "test.echo", "test.sleep")]

    await dispatch.finish_jobs(db, [outcome(job_id) for job_id in ids])

    assert sorted(changes(sql)) == [("completed", None, 1, "completed", 1, 1), ("completed", None, 2, "completed", 2, 2)]
    assert drift(sql) == []


async def test_an_outcome_that_came_too_late_is_not_counted(db, sql, alice):
    job_id = make_job(sql, alice, status="completed")

    await dispatch.finish_jobs(db, [outcome(job_id)])

    assert changes(sql) == []


@pytest.mark.parametrize(
    ("columns", "counted"),
    [
        ({}, (None, None, 0, "worker_lost", 1, 0)),
        ({"lost_attempts": 2, "attempt": 3}, ("failed", "worker_lost", 1, "worker_lost", 1, 0)),
        ({"cancel_requested_at": datetime.now(UTC)}, ("cancelled", None, 1, "worker_lost", 1, 0)),
    ],
    ids=["goes back", "fails", "was asked to stop"],
)
async def test_each_rescue_is_counted(db, sql, alice, columns, counted):
    worker_id = make_worker(sql, lease_seconds=-1)
    make_job(sql, alice, status="running", worker_id=worker_id, **columns)

    await dispatch.rescue_jobs(db)

    assert changes(sql) == [counted]


# (verb, status before, what is counted)
INTERVENTIONS = [
    ("cancel", "pending", [("cancelled", None, 1, None, 0, 0)]),
    ("cancel", "running", []),
    ("cancel", "failed", []),
    ("retry", "failed", [("failed", "boom", -1, None, 0, 0)]),
    ("retry", "cancelled", [("cancelled", None, -1, None, 0, 0)]),
    ("retry", "completed", []),
    ("force_complete", "pending", [("completed", None, 1, None, 0, 0)]),
    ("force_complete", "running", [("completed", None, 1, "superseded", 1, 0)]),
    ("force_complete", "failed", [("failed", "boom", -1, None, 0, 0), ("completed", None, 1, None, 0, 0)]),
    ("force_complete", "cancelled", [("cancelled", None, -1, None, 0, 0), ("completed", None, 1, None, 0, 0)]),
    ("force_complete", "completed", []),
    ("disable_owner", "pending", [("cancelled", None, 1, None, 0, 0)]),
    ("disable_owner", "failed", []),
]


async def intervene(db, verb, job_id, owner) -> None:
    if verb == "cancel":
        await store.cancel_job(db, job_id, owner_id=None, act=ACT)
    elif verb == "retry":
        await store.retry_job(db, job_id, owner_id=None, act=ACT)
    elif verb == "force_complete":
        await store.force_complete_job(db, job_id, result=None, act=ACT)
    else:
        await store.cancel_pending_jobs_of_user(db, owner.id, act=ACT)


@pytest.mark.parametrize(("verb", "status", "counted"), INTERVENTIONS)
async def test_each_intervention_is_counted(db, sql, alice, verb, status, counted):
    job_id = make_job(sql, alice, status=status)
    sql.execute("SELECT count_history_into_stats()")
    await fold_all(db)

    await intervene(db, verb, job_id, alice)

    assert sorted(changes(sql), key=str) == sorted(counted, key=str)
    no_attempts = [row for row in drift(sql) if not row[3].startswith("attempts")]  # make_job has put none on record
    assert no_attempts == []


async def test_a_finish_is_taken_back_where_it_was_counted(db, sql, alice):
    job_id = make_job(sql, alice, status="failed")
    sql.execute("UPDATE jobs SET completed_at = now() - interval '3 days' WHERE id = %s", [job_id])
    sql.execute("SELECT count_history_into_stats()")

    await store.retry_job(db, job_id, owner_id=None, act=ACT)
    await fold_all(db)

    assert sql.execute("SELECT FROM job_stats WHERE failed <> 0").fetchall() == []
    assert sql.execute("SELECT FROM job_failure_stats WHERE failed <> 0").fetchall() == []
    assert sql.execute("SELECT count(*) AS spans FROM job_stats").fetchone().spans == len(Resolution)


async def test_a_fold_adds_to_all_spans_and_leaves_nothing(db, sql, alice):
    for _ in range(2):
        await dispatch.finish_jobs(db, [outcome(make_job(sql, alice, status="running"))])
        await fold_all(db)

    assert stored(sql, "completed") == dict.fromkeys(Resolution, 2)
    assert changes(sql) == []


async def test_while_one_folds_another_one_neither_folds_nor_waits(db, sql, alice):
    await dispatch.finish_jobs(db, [outcome(make_job(sql, alice, status="running"))])

    async with db.transaction() as first:
        assert await rollups.fold_job_stats(first) == 1
        assert await rollups.fold_job_stats(db) == 0

    assert stored(sql, "completed")["day"] == 1


async def test_a_fold_is_due_when_the_oldest_change_has_waited(db, sql, alice):
    nothing = await rollups.fold_is_due(db, seconds=0)
    for seconds in (5, 60):
        await dispatch.finish_jobs(db, [outcome(make_job(sql, alice, status="running"))])
        latest = "SELECT max(id) FROM job_stat_changes"
        sql.execute(f"UPDATE job_stat_changes SET at = now() - make_interval(secs => %s) WHERE id = ({latest})", [seconds])

    assert not nothing
    assert [await rollups.fold_is_due(db, seconds=seconds) for seconds in (0, 4, 6)] == [True, True, False]


async def test_a_fold_that_fails_has_folded_nothing(db, sql, alice):
    await dispatch.finish_jobs(db, [outcome(make_job(sql, alice, status="running"))])

    with pytest.raises(KeyError):
        async with db.transaction() as session:
            await rollups.fold_job_stats(session)
            raise KeyError

    assert stored(sql, "completed") == {}
    assert await rollups.fold_job_stats(db) == 1


async def test_what_commits_after_a_fold_is_folded_by_the_next_one(db, sql, alice):
    """Its number is lower than those that were folded: a watermark would pass over it."""
    first, second = (make_job(sql, alice, status="running") for _ in range(2))

    async with db.transaction() as slow:
        await dispatch.finish_jobs(slow, [outcome(first)])
        await dispatch.finish_jobs(db, [outcome(second)])
        assert await rollups.fold_job_stats(db) == 1

    assert await rollups.fold_job_stats(db) == 1
    assert stored(sql, "completed")["day"] == 2
    assert drift(sql) == []


async def test_a_late_change_counts_in_the_spans_that_are_kept(db, sql):
    for age in ("6 days", "8 days", "399 days", "401 days"):
        sql.execute(
            "INSERT INTO job_stat_changes (at, job_type, status, jobs) VALUES (now() - %s::interval, 'test.echo', 'completed', 1)", [age]
        )

    await fold_all(db)

    assert stored(sql, "completed") == {
        **dict.fromkeys(("minute", "ten_minutes"), 1),
        **dict.fromkeys(("hour", "six_hours"), 3),
        **dict.fromkeys(("day", "week", "all_time"), 4),
    }


async def test_spans_go_an_hour_after_they_were_last_counted_up(db, sql):
    hour = timedelta(hours=1)
    kept_days = {"minute": 7, "ten_minutes": 7, "hour": 400, "six_hours": 400, "day": 4000, "week": 4000}
    for resolution, days in kept_days.items():
        kept = timedelta(days=days)
        for age in (kept + 0.9 * hour, kept + 1.1 * hour):
            sql.execute("INSERT INTO job_stats (resolution, at, job_type) VALUES (%s, now() - %s, 'x')", [resolution, age])
            sql.execute("INSERT INTO job_time_stats (resolution, at, job_type) VALUES (%s, now() - %s, 'x')", [resolution, age])
            sql.execute(
                "INSERT INTO job_failure_stats (resolution, at, job_type, error_code) VALUES (%s, now() - %s, 'x', 'y')", [resolution, age]
            )

    removed = [await rollups.remove_old_job_stats(db, resolution=resolution) for resolution in Resolution]

    assert removed == [1, 1, 1, 1, 0, 0, 0]
    for table in ("job_stats", "job_time_stats", "job_failure_stats"):
        left = sql.execute(f"SELECT resolution::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1").fetchall()
        assert dict(left) == dict.fromkeys(PASSING, 1) | {"day": 2, "week": 2}


async def test_the_history_is_counted_once(db, sql, alice):
    ages = (timedelta(hours=1), timedelta(days=9), timedelta(days=500))
    for age in ages:
        for status in ("completed", "failed", "cancelled"):
            job_id = make_job(sql, alice, status=status)
            sql.execute("UPDATE jobs SET completed_at = now() - %s WHERE id = %s", [age, job_id])
            sql.execute(
                "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)"
                " SELECT id, 1, worker_id, completed_at - interval '9 s', completed_at - interval '2 s', completed_at,"
                " status::text::attempt_outcome, error_code, error_message FROM jobs WHERE id = %s",
                [job_id],
            )

    sql.execute("SELECT count_history_into_stats()")

    assert drift(sql) == []
    await fold_all(db)
    assert drift(sql) == []
    assert stored(sql, "completed") == {
        **dict.fromkeys(("minute", "ten_minutes"), 1),
        **dict.fromkeys(("hour", "six_hours"), 2),
        **dict.fromkeys(("day", "week", "all_time"), 3),
    }
    assert stored(sql, "waiting_microseconds")["all_time"] == 6 * 7_000_000
    with pytest.raises(psycopg.errors.RaiseException, match="counted twice"):
        sql.execute("SELECT count_history_into_stats()")


async def test_the_checker_names_what_differs(db, sql, alice):
    await dispatch.finish_jobs(db, [outcome(make_job(sql, alice, status="running"), AttemptOutcome.FAILED, FAILED, error_code="boom")])
    await fold_all(db)
    assert drift(sql) == []

    sql.execute("UPDATE job_stats SET failed = failed + 1 WHERE resolution = 'hour'")
    sql.execute("UPDATE job_time_stats SET waiting = stat_histogram_sum(waiting, waiting) WHERE resolution = 'minute'")
    sql.execute("UPDATE job_failure_stats SET failed = 5 WHERE resolution = 'all_time'")

    found = [(row[0], row[3].partition(" bucket")[0], row[4] - row[5]) for row in drift(sql)]
    assert found == [("minute", "attempts: waited in", 1), ("hour", "failed", 1), ("all_time", "failed with boom", 4)]


async def test_the_checker_looks_at_what_came_since(db, sql, alice):
    for age in (timedelta(days=3), timedelta(0)):
        job_id = make_job(sql, alice, status="cancelled")
        sql.execute("UPDATE jobs SET completed_at = now() - %s WHERE id = %s", [age, job_id])
    sql.execute("SELECT count_history_into_stats()")
    await fold_all(db)
    sql.execute("UPDATE job_stats SET cancelled = cancelled + 1 WHERE resolution = 'hour'")
    hour = sql.execute("SELECT stat_span('1 hour', now()) AS at").fetchone().at

    everything = [row[:2] for row in drift(sql) if row[3] == "cancelled"]
    lately = [row[:2] for row in drift(sql, since=hour.isoformat()) if row[3] == "cancelled"]

    assert len(everything) == 2
    assert lately == [("hour", hour)]


class Crash(Exception):
    pass


class Workload:
    """Random verbs, each of them now and then interrupted before its commit, at times spread over years."""

    AGES = (timedelta(0), timedelta(seconds=61), timedelta(hours=3), timedelta(days=2), timedelta(days=10), timedelta(days=500))

    def __init__(self, seed, db, sql, owner) -> None:
        self._random = random.Random(seed)
        self._db, self._sql, self._owner = db, sql, owner
        self._worker_id = make_worker(sql)

    async def step(self) -> None:
        verb = self._random.choice(
            [self._submit, self._submit, self._claim, self._claim, self._finish, self._finish, self._finish, self._lose]
        )
        if self._random.random() < 0.3:
            verb = self._random.choice([self._intervene, self._intervene, self._clean_up, self._disable])
        began_at = self._sql.execute("SELECT now() AS now").fetchone().now
        try:
            async with self._db.transaction() as session:
                await verb(session)
                if self._random.random() < 0.15:
                    raise Crash
        except Crash:
            pass
        self._move_into_the_past(began_at)
        if self._random.random() < 0.4:
            await asyncio.gather(*(rollups.fold_job_stats(self._db) for _ in range(2)))

    def _move_into_the_past(self, began_at) -> None:
        """What happened since, with its changes: those that take a finish back have the time of that finish already."""
        given = {"age": self._random.choice(self.AGES), "since": began_at}
        self._sql.execute("UPDATE jobs SET completed_at = completed_at - %(age)s WHERE completed_at >= %(since)s", given)
        self._sql.execute("UPDATE job_stat_changes SET at = at - %(age)s WHERE at >= %(since)s", given)
        self._sql.execute(
            "UPDATE job_attempts SET due_at = due_at - %(age)s, started_at = started_at - %(age)s, ended_at = ended_at - %(age)s"
            " WHERE ended_at >= %(since)s",
            given,
        )

    async def _submit(self, _session) -> None:
        due_at = datetime.now(UTC) - timedelta(seconds=self._random.lognormvariate(0, 3))
        make_job(self._sql, self._owner, due_at=due_at, job_type=self._random.choice(("test.echo", "test.sleep")))

    async def _claim(self, session) -> None:
        types = ["test.echo", "test.sleep"]
        await dispatch.claim_jobs(session, worker_id=self._worker_id, queues=["default"], known_types=types, slots=3)

    async def _finish(self, session) -> None:
        took = timedelta(seconds=self._random.lognormvariate(-2, 2))
        self._sql.execute("UPDATE jobs SET started_at = started_at - %s WHERE status = 'running'", [took])
        await dispatch.finish_jobs(session, [self._ending(row) for row in self._jobs("running")[:4]])

    def _ending(self, row) -> Outcome:
        how, status, error_code, *_ = self._random.choice(ENDINGS)
        return outcome(row.id, how, status, attempt=row.attempt, error_code=error_code)

    async def _lose(self, session) -> None:
        self._sql.execute("UPDATE workers SET lease_until = now() - interval '1 s' WHERE id = %s", [self._worker_id])
        await dispatch.rescue_jobs(session)
        self._worker_id = make_worker(self._sql)

    async def _intervene(self, session) -> None:
        for row in self._jobs("pending", "running", "failed", "cancelled")[:2]:
            await intervene(session, self._random.choice(("cancel", "retry", "retry", "force_complete")), row.id, self._owner)

    async def _disable(self, session) -> None:
        if self._random.random() < 0.2:
            await intervene(session, "disable_owner", None, self._owner)

    async def _clean_up(self, session) -> None:
        for row in self._jobs("completed", "cancelled")[:1]:
            await remove(session, row.id)

    def _jobs(self, *statuses):
        rows = self._sql.execute("SELECT id, attempt FROM jobs WHERE status = ANY(%s::job_status [])", [list(statuses)]).fetchall()
        self._random.shuffle(rows)
        return rows


async def remove(session, job_id) -> None:
    """What a clean-up does to one job, and writes down of it."""
    await session._connection.execute(
        """
        WITH attempts AS (DELETE FROM job_attempts WHERE job_id = $1 RETURNING ended_at, outcome),
        deleted AS (DELETE FROM jobs WHERE id = $1 RETURNING completed_at, job_type, status),
        of_attempts AS (
            INSERT INTO job_stat_changes (at, job_type, outcome, attempts_removed)
            SELECT date_trunc('minute', attempts.ended_at), deleted.job_type, attempts.outcome, count(*)
            FROM attempts, deleted
            GROUP BY 1, 2, 3
        )
        INSERT INTO job_stat_changes (at, job_type, status, jobs_removed)
        SELECT date_trunc('minute', completed_at), job_type, status, 1 FROM deleted
        """,
        job_id,
    )


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_workload_the_rollups_say_what_the_tables_say(db, sql, alice, seed):
    workload = Workload(seed, db, sql, alice)
    for _ in range(300):
        await workload.step()

    before = drift(sql)
    await fold_all(db)
    after = drift(sql)

    assert (before, after) == ([], [])
    assert changes(sql) == []
    figures = sql.execute("SELECT * FROM job_stats").fetchall()
    of_all_time = [row for row in figures if row.resolution == "all_time"]
    totals = {name: sum(getattr(row, name) for row in of_all_time) for name in figures[0]._fields[3:]}
    rare = {"failed_removed", "attempts_cancelled", "attempts_superseded"}  # tests of their own have these for certain
    assert {name for name, total in totals.items() if total <= 0} <= rare
    assert all(value >= 0 for row in figures for value in row[3:])
