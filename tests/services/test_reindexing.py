"""Indexes that clean-ups left nearly empty are made anew once a day, by one worker."""

from datetime import UTC, datetime

import psycopg
import pytest

from jobhub.services.reindexing import Reindexed, reindex_daily
from jobhub.store.indexes import list_bloated_indexes, list_unfinished_indexes
from tests.factories import leave_indexes_nearly_empty

INDEX_BYTES = 2**16


@pytest.fixture
def hour() -> int:
    return datetime.now(UTC).hour


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
        assert await list_unfinished_indexes(db)
        writer.rollback()
    a_day_passes(sql)

    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) == Reindexed(done=names, given_up=[])
    assert await list_unfinished_indexes(db) == []


async def test_a_read_that_stays_open_keeps_the_old_index_until_the_next_day(db, dsn, sql, alice, hour):
    leave_indexes_nearly_empty(sql, alice)
    names = await bloated(db)
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT count(*) FROM jobs")

        assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES, lock_seconds=0.2) == Reindexed(done=names, given_up=[])
        assert await list_unfinished_indexes(db)
    a_day_passes(sql)

    assert await reindex_daily(db, hour=hour, index_bytes=INDEX_BYTES) == Reindexed(done=[], given_up=[])
    assert await list_unfinished_indexes(db) == []


async def test_what_belongs_to_somebody_else_is_not_ours(db, sql, alice):
    leave_indexes_nearly_empty(sql, alice)
    sql.execute("CREATE ROLE stranger")
    try:
        async with db.own_session() as session:
            await session.run_command("SET ROLE stranger", limit_seconds=5)
            found = await list_bloated_indexes(session, index_bytes=INDEX_BYTES)
    finally:
        sql.execute("DROP ROLE stranger")

    assert {one.is_ours for one in found} == {False}
