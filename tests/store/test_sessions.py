"""Sessions: how long they last, and what a use of one writes."""

import hashlib

import pytest

from jobhub.store import sessions as store
from tests.factories import make_user

ID = hashlib.sha256(b"a session").digest()
WEEK = 7 * 86400


@pytest.fixture
async def session(db, alice):
    await store.add_session(db, id_sha256=ID, user_id=alice.id, lifetime_seconds=WEEK)


async def use(db, precision_seconds=60):
    return await store.use_session(db, ID, idle_seconds=3600, precision_seconds=precision_seconds)


async def test_a_session_is_its_users(db, alice, session):
    assert await use(db) == alice


@pytest.mark.parametrize(
    ("change", "is_over"),
    [
        ("UPDATE sessions SET seen_at = now() - interval '59 minutes'", False),
        ("UPDATE sessions SET seen_at = now() - interval '61 minutes'", True),
        ("UPDATE sessions SET created_at = now() - interval '7 days', expires_at = now() + interval '1 s'", False),
        ("UPDATE sessions SET created_at = now() - interval '7 days', expires_at = now()", True),
        ("UPDATE users SET disabled_at = now()", True),
        ("DELETE FROM sessions", True),
    ],
)
async def test_a_session_is_over_when_idle_expired_or_its_user_is_disabled(db, sql, session, change, is_over):
    sql.execute(change)

    assert (await use(db) is None) == is_over


@pytest.mark.parametrize(("seconds_ago", "precision_seconds", "is_written"), [(50, 60, False), (70, 60, True), (70, None, False)])
async def test_a_use_is_written_down_when_the_last_one_is_long_ago_enough(db, sql, session, seconds_ago, precision_seconds, is_written):
    sql.execute("UPDATE sessions SET seen_at = now() - make_interval(secs => %s)", [seconds_ago])

    assert await use(db, precision_seconds) is not None

    row = sql.execute("SELECT now() - seen_at < interval '30 s' AS is_written FROM sessions").fetchone()
    assert row.is_written == is_written


async def test_a_use_does_not_wait_for_another_one_that_is_being_written_down(db, sql, alice, session):
    sql.execute("UPDATE sessions SET seen_at = now() - interval '30 minutes'")
    with sql.transaction():
        sql.execute("SELECT FROM sessions FOR UPDATE")

        assert await use(db) == alice


async def test_the_sessions_of_one_user_end_and_no_others(db, sql, alice, bob, session):
    await store.add_session(db, id_sha256=hashlib.sha256(b"bob's").digest(), user_id=bob.id, lifetime_seconds=WEEK)

    await store.end_sessions_of_user(db, alice.id)

    assert [row.user_id for row in sql.execute("SELECT user_id FROM sessions").fetchall()] == [bob.id]


async def test_expired_sessions_are_forgotten(db, sql, session):
    carol = make_user(sql, "carol@example.org")
    await store.add_session(db, id_sha256=hashlib.sha256(b"fresh").digest(), user_id=carol.id, lifetime_seconds=WEEK)
    sql.execute(
        "UPDATE sessions SET created_at = now() - interval '8 days', expires_at = now() - interval '1 s' WHERE id_sha256 = %s", [ID]
    )

    assert await store.remove_expired_sessions(db) == 1
    assert [row.user_id for row in sql.execute("SELECT user_id FROM sessions").fetchall()] == [carol.id]
