"""LISTEN that heals by itself, and a proof of life that does no harm."""

import asyncio

import pytest

from jobhub.store import notifications
from jobhub.store.notifications import listen


class Heard:
    """What a listener was told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.connections = 0
        self.changed = asyncio.Event()

    def on_notification(self, channel: str, payload: str) -> None:
        self.messages.append((channel, payload))
        self.changed.set()

    def on_connected(self) -> None:
        self.connections += 1
        self.changed.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def heard(dsn):
    found = Heard()
    task = asyncio.create_task(listen(dsn, ["one", "two"], on_notification=found.on_notification, on_connected=found.on_connected))
    await found.until(lambda: found.connections == 1)
    yield found
    task.cancel()
    await asyncio.wait({task})


async def test_notifications_of_every_channel_arrive_with_their_payload(heard, sql):
    sql.execute("NOTIFY one, 'a'")
    sql.execute("NOTIFY two, 'b'")

    await heard.until(lambda: len(heard.messages) == 2)

    assert heard.messages == [("one", "a"), ("two", "b")]


async def test_a_terminated_connection_is_made_anew_and_said_so(heard, sql):
    sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobhub listener' AND datname = current_database()"
    )
    await heard.until(lambda: heard.connections == 2)

    sql.execute("NOTIFY one, 'after'")
    await heard.until(lambda: heard.messages)

    assert heard.messages == [("one", "after")]


async def test_the_proof_of_life_keeps_the_connection(dsn, sql, monkeypatch):
    monkeypatch.setattr(notifications, "CHECK_SECONDS", 0.01)
    found = Heard()
    task = asyncio.create_task(listen(dsn, ["one"], on_notification=found.on_notification, on_connected=found.on_connected))
    await found.until(lambda: found.connections == 1)
    query = "SELECT query, state_change FROM pg_stat_activity WHERE application_name = 'jobhub listener' AND datname = current_database()"
    before = sql.execute(query).fetchone()

    async with asyncio.timeout(20):
        while (now := sql.execute(query).fetchone()) == before or now.query != "SELECT 1":
            await asyncio.sleep(0.01)
    sql.execute("NOTIFY one, 'still there'")
    await found.until(lambda: found.messages)

    assert found.connections == 1
    task.cancel()
    await asyncio.wait({task})
