"""Indexes that clean-ups left nearly empty are made anew once a day, by one worker."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import IsolationLevel

from jobhub.services import reindexing as module
from jobhub.services.reindexing import Reindexed, reindex_daily
from jobhub.store.database import Database
from jobhub.store.indexes import list_bloated_indexes, list_unfinished_indexes
from tests.factories import leave_indexes_nearly_empty

INDEX_BYTES = 2**16
CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE query LIKE 'REINDEX %' AND wait_event_type = 'Lock' AND datname = current_database()
"""
NOW = datetime(2026, 11, 29, 3, 59, tzinfo=UTC)


@pytest.fixture
def hour(monkeypatch) -> int:
    """It is that hour as long as the test lasts."""

    async def database_now(_):
        return NOW

    monkeypatch.setattr(module.jobs, "database_now", database_now)
    return NOW.hour


def a_day_passes(sql) -> None:
    sql.execute("UPDATE upkeep SET began_at = began_at - interval '1 day'")


async def bloated(db) -> list[str]:
    return [one.name for one in await list_bloated_indexes(db, index_bytes=INDEX_BYTES)]


async def test_an_index_is_nearly_empty_after_a_clean_up_and_not_before(db, sql, alice):
    assert await bloated(db) == []

    leave_indexes_nearly_empty(sql, alice)

    assert {"jobs_pkey", "jobs_newest_idx"} <= set(await bloated(db))


async def test_what_is_nearly_empty_is_made_anew(db, sql, alice, hour):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)

    reindexed = await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES)

    assert reindexed == Reindexed(done=names, given_up=[])
    assert await bloated(db) == []
    assert sql.execute("SELECT count(*) FROM jobs").fetchone() == (50,)


async def test_it_is_done_once_a_day(db, sql, alice, hour):
    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) == Reindexed(done=[], given_up=[])
    leave_indexes_nearly_empty(sql, alice)

    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) is None
    a_day_passes(sql)
    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) is not None


async def test_no_other_hour_is_the_one(db, hour):
    assert await reindex_daily(db, hour=(hour + 2) % 24) is None


async def test_a_write_that_stays_open_is_not_waited_for_and_the_next_day_puts_it_right(db, dsn, sql, alice, hour):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)
    with psycopg.connect(dsn) as writer:
        writer.execute("UPDATE jobs SET priority = 1")

        assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES, lock_seconds=0.2) == Reindexed(done=[], given_up=names)
        assert len(await list_unfinished_indexes(db)) == 1
        writer.rollback()
    a_day_passes(sql)

    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) == Reindexed(done=names, given_up=[])
    assert await list_unfinished_indexes(db) == []


@pytest.mark.parametrize("isolation", [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ])
async def test_a_read_that_stays_open_for_days_leaves_no_more_than_one_unfinished(db, dsn, sql, alice, hour, isolation):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)
    with psycopg.connect(dsn) as reader:
        reader.isolation_level = isolation
        reader.execute("SELECT count(*) FROM jobs")

        for _ in range(3):
            reindexed = await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES, lock_seconds=0.2)
            a_day_passes(sql)
            assert len(await list_unfinished_indexes(db)) == 1
            assert len(reindexed.done) <= 1

    reindexed = await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES)
    assert set(names) - set(reindexed.done) <= {names[0]}
    assert (reindexed.given_up, await list_unfinished_indexes(db), await bloated(db)) == ([], [], [])


async def test_what_was_cancelled_is_dropped_at_once(db, dsn, sql, alice, hour):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)
    with psycopg.connect(dsn) as writer:
        writer.execute("UPDATE jobs SET priority = 1")
        reindexing = asyncio.create_task(reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES))
        async with asyncio.timeout(10):
            while not sql.execute(CANCEL).rowcount:
                await asyncio.sleep(0.02)
        writer.rollback()

    assert await reindexing == Reindexed(done=[], given_up=names)
    assert await list_unfinished_indexes(db) == []


async def test_what_belongs_to_somebody_else_is_given_up(db, dsn, sql, alice, hour):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)
    sql.execute("CREATE ROLE stranger; GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger")
    try:
        async with Database.open(dsn, max_size=1, application_name="a stranger", settings={"role": "stranger"}) as strangers:
            reindexed = await reindex_daily(strangers, hour=hour, index_bytes=INDEX_BYTES)
    finally:
        sql.execute("DROP OWNED BY stranger; DROP ROLE stranger")

    assert reindexed == Reindexed(done=[], given_up=names)
