"""The measurements fit the code they measure: nobody would notice a broken one before the next release."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import asyncpg
import msgspec
import psycopg
import pytest
import uuid_utils.compat

from bench.__main__ import SCRIPTS
from bench.bare_api import INSERT, OWNER
from bench.peers import jobhub_peer
from bench.peers.everyone import PEERS

NAMES = ("NAME", "KEEPS", "SLOW", "LEFT", "missing", "version", "prepare", "fill", "command", "environ", "enqueuer")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.NAME)
def test_a_peer_has_all_that_scripts_ask_for(peer: ModuleType):
    assert [name for name in NAMES if not hasattr(peer, name)] == []
    assert peer.SLOW == 1 or hasattr(peer, "finish_waiting")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_has_all_that_running_it_asks_for(script: ModuleType):
    assert [name for name in ("TITLE", "QUICK", "add_arguments", "tables") if not hasattr(script, name)] == []


@pytest.fixture
def newest(sql: psycopg.Connection) -> None:
    if sql.info.server_version < 180_000:
        pytest.skip("the measurements use uuidv7() of PostgreSQL 18")


def test_filled_jobs_are_due_and_delivered(newest: None, dsn: str, sql: psycopg.Connection):
    jobhub_peer.fill(dsn, 3)

    delivered = sql.execute(
        "SELECT count(*) FROM jobs INNER JOIN procrastinate_jobs ON procrastinate_jobs.id = jobs.delivery_id"
    ).fetchone()
    assert delivered == (3,)
    assert sql.execute(jobhub_peer.LEFT).fetchone() == (3,)


def test_filled_jobs_for_later_have_no_delivery(newest: None, dsn: str, sql: psycopg.Connection):
    first_at = datetime.now(UTC) + timedelta(hours=1)

    jobhub_peer.fill(dsn, 2, first_at=first_at, every_seconds=0.5, priority=10)

    rows = sql.execute("SELECT deliver_at, delivery_id, priority FROM jobs ORDER BY deliver_at").fetchall()
    assert [tuple(row) for row in rows] == [(first_at + timedelta(seconds=n / 2), None, 10) for n in (1, 2)]


async def test_a_submitted_job_is_delivered(newest: None, dsn: str, sql: psycopg.Connection):
    async with jobhub_peer.enqueuer(dsn) as submit:
        await submit(7)

    assert sql.execute("SELECT parameters FROM jobs WHERE delivery_id IS NOT NULL").fetchone() == ({"n": 7},)


async def test_the_bare_handlers_statement_makes_a_delivered_job(dsn: str, sql: psycopg.Connection):
    connection = await asyncpg.connect(dsn)
    try:
        parameters = msgspec.json.encode({"n": 1}).decode()
        await connection.fetchrow(INSERT, uuid_utils.compat.uuid7(), OWNER, "bench.nothing", "Measure", parameters)
    finally:
        await connection.close()

    assert sql.execute("SELECT parameters FROM jobs WHERE delivery_id IS NOT NULL").fetchone() == ({"n": 1},)
