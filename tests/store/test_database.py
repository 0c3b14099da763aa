"""Connections: what is an outage and what is a bug, and that the pool heals."""

import asyncio

import asyncpg
import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import guessing, jobs, retention, users
from tests import factories


async def test_a_terminated_connection_is_an_outage_and_the_next_statement_works(db, sql):
    await users.list_users(db)
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")

    async with asyncio.timeout(10):
        while True:
            try:
                assert await users.list_users(db) == []
                return
            except DatabaseUnavailable:
                continue


async def test_a_transaction_whose_connection_dies_is_an_outage_and_leaves_nothing(db, sql, alice):
    with pytest.raises(DatabaseUnavailable):
        async with db.transaction() as session:
            await guessing.count_login_for_account(session, b"x" * 32, limit=100)
            sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
            await users.list_users(session)

    assert sql.execute("SELECT FROM login_failures").fetchall() == []


async def test_a_transaction_that_fails_is_rolled_back(db, sql):
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as session:
            await guessing.count_login_for_account(session, b"x" * 32, limit=100)
            raise ZeroDivisionError

    assert sql.execute("SELECT FROM login_failures").fetchall() == []


async def test_a_pool_that_is_used_up_is_an_outage_after_two_seconds(db):
    async with asyncio.timeout(5):
        sessions = [db.session() for _ in range(8)]
        for session in sessions:
            await session.__aenter__()

        with pytest.raises(DatabaseUnavailable):
            await users.list_users(db)

        for session in sessions:
            await session.__aexit__(None, None, None)
        assert await users.list_users(db) == []


async def test_an_advisory_lock_ends_with_its_session(db):
    async with db.session() as first:
        assert await retention.try_clean_up_lock(first)
        async with db.session() as second:
            assert not await retention.try_clean_up_lock(second)

    async with db.session() as third, db.session() as fourth:
        held = [await retention.try_clean_up_lock(session) for session in (third, fourth)]
    assert sorted(held) == [False, True]


async def test_a_session_of_its_own_takes_no_connection_of_the_pool_and_leaves_none(db, sql):
    async with db.own_session() as session:
        assert await users.list_users(session) == []
        assert db.pool_use().busy == db.pool_use().idle == 0

    async with asyncio.timeout(10):
        while sql.execute("SELECT FROM pg_stat_activity WHERE application_name = 'tests'").fetchall():
            await asyncio.sleep(0.01)


async def test_a_session_of_its_own_whose_connection_dies_is_an_outage(db, sql):
    with pytest.raises(DatabaseUnavailable):
        async with db.own_session() as session:
            sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
            await users.list_users(session)


async def test_a_violated_constraint_is_a_bug_and_no_outage(db, alice):
    with pytest.raises(asyncpg.CheckViolationError):
        await db.fetch_row("create_user", id=factories.new_id(), email="", password_hash="x", role="user", actor_id=None, request_id=None)


async def test_a_value_that_can_not_be_encoded_is_a_bug_and_no_outage(db):
    with pytest.raises(asyncpg.DataError):
        await jobs.get_job(db, "no id", owner_id=None)
