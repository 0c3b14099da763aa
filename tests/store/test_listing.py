"""What the indexes of lists are made from is what the jobs say; and a search that takes too long."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.errors import DatabaseUnavailable, FilterTooBroad
from jobhub.domain.jobs import JobStatus
from jobhub.store import database, listing
from jobhub.store.database import Database
from jobhub.store.matching import JobFilter
from tests import factories
from tests.factories import make_job

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def found(db, **parts):
    """The ids of a list, which must be as many as it counts."""
    where = JobFilter(**parts)
    jobs = await listing.list_jobs(db, where, offset=0, limit=1000, after=None)
    assert await listing.count_jobs(db, where) == (len(jobs), False)
    return [owned.job.id for owned in jobs]


def tags_on_record(sql):
    return sql.execute("SELECT owner_id, tag, created_at, job_id FROM tagged_jobs ORDER BY tag, job_id").fetchall()


async def test_tags_are_on_record_as_long_as_their_job_has_them(sql, alice, bob):
    job_id = make_job(sql, alice, tags=["b", "a"], created_at=NOON)
    other_id = make_job(sql, alice, tags=["a"], created_at=NOON)
    make_job(sql, bob)
    assert tags_on_record(sql) == [(alice.id, "a", NOON, job_id), (alice.id, "a", NOON, other_id), (alice.id, "b", NOON, job_id)]

    sql.execute("UPDATE jobs SET tags = ARRAY['b', 'c', 'c'], owner_id = %s WHERE id = %s", [bob.id, job_id])
    assert tags_on_record(sql) == [(alice.id, "a", NOON, other_id), (bob.id, "b", NOON, job_id), (bob.id, "c", NOON, job_id)]

    sql.execute("DELETE FROM jobs WHERE id = %s", [job_id])
    assert tags_on_record(sql) == [(alice.id, "a", NOON, other_id)]


@pytest.fixture
def jobs(sql, alice):
    """One in each status, and a scheduled one, an hour apart, oldest first."""
    statuses = [*JobStatus, JobStatus.PENDING]
    later = [None] * len(JobStatus) + [datetime.now(UTC) + timedelta(days=1)]
    return [
        (status, make_job(sql, alice, status=status, scheduled_for=at, created_at=NOON + timedelta(hours=hour), tags=["a", str(status)]))
        for hour, (status, at) in enumerate(zip(statuses, later, strict=True))
    ]


SUBSETS = [tuple(status for bit, status in enumerate(JobStatus) if number >> bit & 1) for number in range(1, 32)]


@pytest.mark.parametrize("others", [{}, {"tags": ("a",)}, {"job_types": ("test.echo",)}, {"job_types": ("test.echo", "test.none")}])
async def test_any_statuses_together_find_those_who_have_them(db, alice, bob, jobs, others, monkeypatch):
    for too_many in (10_000, 0):  # pending jobs are looked up, and walked to
        monkeypatch.setattr(listing, "_MANY_PENDING", too_many)
        for statuses in SUBSETS:
            expected = [job_id for status, job_id in reversed(jobs) if status in statuses]

            assert await found(db, owner_id=alice.id, statuses=statuses, **others) == expected, statuses
            assert await found(db, statuses=statuses, **others) == expected, statuses
            assert await found(db, statuses=statuses, oldest_first=True, **others) == expected[::-1], statuses
            assert await found(db, owner_id=bob.id, statuses=statuses, **others) == [], statuses


async def test_tags_and_anything_else_go_together(db, alice, jobs):
    status, job_id = jobs[3]
    both = ("a", str(status))

    assert await found(db, owner_id=alice.id, tags=both) == [job_id]
    assert await found(db, tags=both, statuses=(status, JobStatus.COMPLETED), text="JOB") == [job_id]
    assert await found(db, tags=both, created_after=NOON + timedelta(hours=4)) == []


async def test_ids_alone_are_those_of_the_list(db, alice, jobs):
    where = JobFilter(owner_id=alice.id, statuses=(JobStatus.PENDING, JobStatus.FAILED))

    assert await listing.list_job_ids(db, where, limit=2) == (await found(db, owner_id=alice.id, statuses=where.statuses))[:2]


async def test_failed_jobs_are_found_by_their_error(db, sql, alice):
    boom, _ = (make_job(sql, alice, status="failed", error_code=code) for code in ("boom", "fire"))

    assert await found(db, error_code="boom", statuses=(JobStatus.FAILED,)) == [boom]


async def test_a_delivery_that_does_not_say_whose_it_is_counts_all_the_same(db, sql, alice):
    job_id = make_job(sql, alice)
    sql.execute("UPDATE procrastinate_jobs SET owner_id = NULL")  # as an older version made them

    assert await found(db, owner_id=alice.id, statuses=(JobStatus.PENDING,)) == [job_id]


async def test_what_an_old_delivery_or_claim_names_is_not_taken_for_pending_or_running(db, sql, alice):
    for status in (JobStatus.PENDING, JobStatus.RUNNING):
        make_job(sql, alice, status=status)
    sql.execute("UPDATE jobs SET status = 'cancelled', completed_at = now(), delivery_id = NULL")

    assert await found(db, owner_id=alice.id, statuses=(JobStatus.PENDING, JobStatus.RUNNING)) == []
    assert len(await found(db, owner_id=alice.id, statuses=(JobStatus.CANCELLED,))) == 2


@pytest.mark.parametrize("many_others", [50_000, 3])
async def test_the_total_of_completed_jobs_is_exact_up_to_ten_thousand_however_it_is_counted(db, sql, alice, monkeypatch, many_others):
    monkeypatch.setattr(listing, "_MANY_OTHERS", many_others)
    monkeypatch.setattr(listing, "MAX_TOTAL", 5)
    where = JobFilter(owner_id=alice.id, statuses=(JobStatus.COMPLETED,))
    totals = []
    for _ in range(7):
        for status in (JobStatus.COMPLETED, JobStatus.FAILED):
            make_job(sql, alice, status=status)
        totals.append(await listing.count_jobs(db, where))

    assert totals == [(1, False), (2, False), (3, False), (4, False), (5, False), (5, True), (5, True)]


async def test_a_search_that_takes_too_long_is_given_up_on_the_server_too(db, sql, monkeypatch):
    monkeypatch.setattr(database, "LISTING_SECONDS", 0.3)

    with pytest.raises(FilterTooBroad) as caught:
        await db.fetch_composed("SELECT pg_sleep(60)", [])

    assert "given up after 0.3 s: narrow it by created_after" in str(caught.value)
    deadline = time.monotonic() + 10
    while sql.execute("SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'").fetchall():
        assert time.monotonic() < deadline, "the server goes on for nobody"
        await asyncio.sleep(0.1)
    assert await db.fetch_composed("SELECT 1 AS one", []) == [(1,)]


async def test_a_search_is_planned_for_its_own_values_however_often_it_was_asked_with_others(dsn):
    """A plan for any value is a walk, which is right for a frequent word and takes seconds for a rare one."""
    async with Database.open(dsn, max_size=1, application_name="tests") as db:
        for value in range(10):
            assert await db.fetch_composed("SELECT $1::integer + 1 AS next", [value]) == [(value + 1,)]

        kept = await db.fetch_composed("SELECT name FROM pg_prepared_statements WHERE generic_plans > 0 AND parameter_types <> '{}'", [])

    assert kept == []


async def test_a_list_that_waits_behind_a_lock_does_not_blame_its_filters(db, sql, alice, monkeypatch):
    monkeypatch.setattr(database, "LISTING_SECONDS", 0.3)
    where = JobFilter(owner_id=factories.new_id())

    with sql.transaction():
        sql.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable):
            await listing.count_jobs(db, where)


async def test_a_users_jobs_are_counted_by_status(db, sql, alice, bob, jobs):
    make_job(sql, bob, status="failed")
    make_job(sql, alice, status="failed")

    counts = await listing.count_jobs_of(db, alice.id)

    expected = {None: 7, "pending": 2, "running": 1, "completed": 1, "failed": 2, "cancelled": 1}
    assert counts == {status: (number, False) for status, number in expected.items()}


@pytest.mark.parametrize(("most_others", "completed"), [(4, (2, True)), (3, None)])
async def test_each_count_ends_at_its_limit_and_completed_jobs_are_not_guessed(db, sql, alice, monkeypatch, most_others, completed):
    monkeypatch.setattr(listing, "MAX_TOTAL", 2)
    monkeypatch.setattr(listing, "_MANY_OTHERS", most_others)
    for status in ("failed", "failed", "failed", "cancelled", "cancelled", "completed", "completed", "completed", "pending"):
        make_job(sql, alice, status=status)

    counts = await listing.count_jobs_of(db, alice.id)

    assert counts == {
        None: (2, True),
        "pending": (1, False),
        "running": (0, False),
        "failed": (2, True),
        "cancelled": (2, False),
        "completed": completed,
    }
