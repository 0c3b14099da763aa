"""How connections are made and ended: bounded in every wait, and never asking a server to cancel what it may be committing."""

import asyncio
import inspect
import socket
from contextlib import contextmanager

import asyncpg
import psycopg
import pytest
import uvloop

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import connections, guessing, users
from jobhub.store.connections import Connection, Connector, connect
from jobhub.store.database import Database
from tests.worker.attempts import until
from tests.worker.relay import relay_to

BLOCKED = "SELECT pid FROM pg_locks WHERE NOT granted"  # pg_stat_activity stands still inside a transaction


async def options_of_a_connection(dsn: str) -> dict[str, int]:
    async with relay_to(dsn) as relay:
        connection = await connect(relay.dsn, application_name="tests")
        client = connection._transport.get_extra_info("socket")
        found = {
            name: client.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        }
        found["SO_KEEPALIVE"] = client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await connection.close()
        return found


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_kernel_notices_a_peer_that_is_gone(dsn, new_loop):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        found = runner.run(options_of_a_connection(dsn))

    assert found == {"TCP_USER_TIMEOUT": 8000, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2, "SO_KEEPALIVE": 1}


async def test_the_server_notices_a_client_that_is_gone(dsn):
    async with relay_to(dsn) as relay:
        connection = await connect(relay.dsn, application_name="tests")
        found = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("client_connection_check_interval", "idle_in_transaction_session_timeout")
        }
        await connection.close()

    assert found == {"client_connection_check_interval": "2s", "idle_in_transaction_session_timeout": "30s"}


async def test_a_unix_socket_needs_no_options(databases, dsn):
    connection = await connect(dsn, application_name="tests")

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_connecting_to_something_silent_ends(monkeypatch):
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(TimeoutError):
            await connect(f"postgresql://nobody@127.0.0.1:{listening.getsockname()[1]}/x?sslmode=disable", application_name="tests")


async def test_a_connection_that_falls_silent_while_it_is_prepared_is_given_up(dsn, monkeypatch):
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.5)

    async def silent(_connection):
        await asyncio.Event().wait()

    monkeypatch.setattr(connections, "_prepare", silent)
    with pytest.raises(TimeoutError):
        await connect(dsn, application_name="tests")


@contextmanager
def locked_users(sql: psycopg.Connection):
    with sql.transaction():
        sql.execute("LOCK TABLE users")
        yield


async def test_a_statement_that_takes_too_long_is_not_cancelled_but_left(dsn, sql):
    async with (
        relay_to(dsn) as relay,
        Database.open(relay.dsn, max_size=1, application_name="under test", answer_seconds=0.5) as db,
    ):
        with locked_users(sql):
            with pytest.raises(DatabaseUnavailable):
                await users.list_users(db)

            await until(lambda: not relay.open_connections)
            assert relay.accepted == 1  # a CancelRequest would have been the second
        assert await users.list_users(db) == []


async def test_a_statement_whose_caller_is_cancelled_is_not_cancelled_but_left(dsn, sql):
    async with relay_to(dsn) as relay, Database.open(relay.dsn, max_size=1, application_name="under test") as db:
        with locked_users(sql):
            asking = asyncio.create_task(users.list_users(db))
            await until(lambda: sql.execute(BLOCKED).rowcount)
            asking.cancel()
            await asyncio.wait({asking})

            assert asking.cancelled()
            await until(lambda: not relay.open_connections)
            assert relay.accepted == 1
        assert await users.list_users(db) == []


async def test_a_transaction_whose_caller_is_cancelled_leaves_nothing_and_its_connection_goes(dsn, sql):
    async with Database.open(dsn, max_size=1, application_name="under test") as db:

        async def change() -> None:
            async with db.transaction() as session:
                await guessing.count_login_for_account(session, b"x" * 32, limit=100)
                await users.list_users(session)

        with locked_users(sql):
            changing = asyncio.create_task(change())
            await until(lambda: sql.execute(BLOCKED).rowcount)
            changing.cancel()
            await asyncio.wait({changing})

        assert changing.cancelled()
        assert await users.list_users(db) == []
        assert sql.execute("SELECT FROM login_failures").rowcount == 0


async def test_an_abandoned_statement_does_not_keep_its_locks(dsn, sql):
    """The server looks every two seconds whether somebody still waits."""
    async with Database.open(dsn, max_size=1, application_name="under test", answer_seconds=0.3) as db:
        with locked_users(sql):
            with pytest.raises(DatabaseUnavailable):
                await users.list_users(db)

            await until(lambda: not sql.execute(BLOCKED).rowcount)


def test_the_private_methods_of_asyncpg_are_as_we_know_them():
    assert str(inspect.signature(asyncpg.Connection._cancel_current_command)) == "(self, waiter, cancel_waiter=None)"
    assert str(inspect.signature(asyncpg.Connection._process_log_message)) == "(self, fields, last_query)"
    assert "_transport" in asyncpg.Connection.__slots__
    assert not Connection.is_unconfirmed


async def test_while_the_server_is_away_one_caller_tries_and_the_others_fail_at_once(monkeypatch):
    attempts = []

    async def refused(dsn, **_):
        attempts.append(dsn)
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    monkeypatch.setattr(connections, "connect", refused)
    connector = Connector("tests")
    for _ in range(50):
        with pytest.raises(OSError):
            await connector("address")
    assert len(attempts) == 1

    connector._retry_at = 0.0
    await asyncio.gather(*(connector("address") for _ in range(50)), return_exceptions=True)

    assert len(attempts) == 2


async def test_pauses_grow_to_a_second_and_end_with_the_outage(monkeypatch):
    outcomes = [ConnectionRefusedError] * 8 + [None] + [ConnectionRefusedError]

    async def connecting(_dsn, **_):
        if error := outcomes.pop(0):
            raise error

    monkeypatch.setattr(connections, "connect", connecting)
    monkeypatch.setattr(connections.random, "uniform", lambda low, high: high)
    connector, pauses = Connector("tests"), []
    while outcomes:
        connector._retry_at = 0.0
        try:
            await connector("address")
        except ConnectionRefusedError:
            pauses.append(round(connector._retry_at - asyncio.get_running_loop().time(), 1))

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 0.1]


async def test_an_attempt_whose_caller_gave_up_does_not_shut_out_the_others(monkeypatch):
    async def silent(_dsn, **_):
        await asyncio.Event().wait()

    monkeypatch.setattr(connections, "connect", silent)
    connector = Connector("tests")
    connector._failures = 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connector("address"), 0.05)

    assert connector._retry_at < asyncio.get_running_loop().time() + 1.0
