"""Event streams over a real socket: the present state, every change, and how they end."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest

from jobhub import server as server_module
from jobhub.services import streams
from jobhub.store import watching
from tests.factories import make_job, token
from tests.web.serving import serving
from tests.web.test_waiting import complete, has_looked
from tests.worker.relay import relay_to


@pytest.fixture
async def served(dsn, registry):
    async with serving(dsn, registry) as served:
        yield served


def progress(sql, job_id, percentage):
    sql.execute("UPDATE jobs SET progress_percentage = %s, version = version + 1 WHERE id = %s", [percentage, job_id])


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def open_streams(served):
    app = served.server.config.app._app
    return sum(app.state.resources.streams._open.values())


async def test_a_stream_tells_the_present_state_each_change_and_ends_with_the_final_one(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        first = await events.next()
        as_read = (await served.call(alice, "GET", f"/jobs/{job_id}")).json()
        progress(sql, job_id, 40)
        second = await events.next()
        complete(sql, job_id, version=3)
        last = await events.rest()

    assert events.response.status_code == 200
    assert events.response.headers["content-type"] == "text/event-stream"
    assert events.response.headers["cache-control"] == "no-store"
    assert first == as_read
    assert (second["progress_percentage"], [job["status"] for job in last]) == (40, ["completed"])
    assert events.ids == ["1", "2", "3"]


async def test_a_finished_job_is_told_once(served, alice, sql):
    job_id = make_job(sql, alice, status="failed", version=9)

    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        told = await events.rest()

    assert [job["status"] for job in told] == ["failed"]
    assert events.ids == ["9"]


async def test_many_changes_at_once_are_told_as_the_last_of_them(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        await events.next()
        for percentage in range(1, 101):
            progress(sql, job_id, percentage)
        complete(sql, job_id, version=200)
        told = await events.rest()

    assert told[-1]["version"] == 200
    assert len(told) < 50


async def test_what_a_reconnect_names_changes_nothing(served, alice, sql):
    job_id = make_job(sql, alice, status="completed", version=7)
    for last in ("7", "99", "x", ""):
        response = await served.call(alice, "GET", f"/jobs/{job_id}/events", headers={"last-event-id": last})

        assert (response.status_code, response.text.count("event: job")) == (200, 1)


async def test_all_own_jobs_are_told_and_nobody_elses(served, alice, bob, sql):
    older, newer, his = make_job(sql, alice), make_job(sql, alice, status="running"), make_job(sql, bob)
    async with served.events(alice) as events:
        first = [(await events.next())["id"] for _ in range(2)]
        progress(sql, his, 0)
        progress(sql, newer, 10)
        changed = await events.next()
        fresh = await served.submit(alice)
        added = await events.next()
        complete(sql, newer, version=3)
        finished = await events.next()

    assert first == [str(older), str(newer)]
    assert (changed["id"], changed["progress_percentage"]) == (str(newer), 10)
    assert added["id"] == fresh["id"]
    assert (finished["id"], finished["status"]) == (str(newer), "completed")


async def test_a_job_that_is_deleted_ends_its_stream(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        await events.next()
        sql.execute("DELETE FROM jobs")

        assert await events.rest() == []


@pytest.mark.parametrize("change", ["disabled_at = now()", "role = 'user'"], ids=["disabled", "no administrator any more"])
async def test_whoever_may_not_see_it_any_more_is_told_nothing_more(served, alice, admin, sql, change):
    job_id = make_job(sql, alice, status="running")
    async with served.events(admin, f"/jobs/{job_id}/events") as events:
        await events.next()
        sql.execute(f"UPDATE users SET {change}")
        progress(sql, job_id, 10)

        assert await events.rest() == []


async def test_without_news_a_comment_comes_and_a_disabled_user_is_noticed(served, alice, sql, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    job_id = make_job(sql, alice, status="running")
    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        await events.next()
        reading = asyncio.create_task(events.next())
        await until(lambda: len(events.comments) >= 2)
        sql.execute("UPDATE users SET disabled_at = now()")

        assert await reading is None


async def test_a_job_of_somebody_else_is_a_404(served, alice, bob, sql):
    job_id = make_job(sql, alice)

    response = await served.call(bob, "GET", f"/jobs/{job_id}/events")

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_head_opens_no_stream(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    for path in ("/jobs/events", f"/jobs/{job_id}/events"):
        response = await served.call(alice, "HEAD", path)

        assert (response.status_code, response.headers["content-type"], response.content) == (200, "text/event-stream", b"")


async def test_head_leaves_the_connection_fit_for_the_next_request(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    requests = [
        f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\nauthorization: Bearer {token(alice)}\r\n\r\n"
        for method, path, connection in (
            *(("HEAD", "/livez", "keep-alive"), ("HEAD", f"/jobs/{job_id}", "keep-alive"), ("HEAD", "/jobs/events", "keep-alive")),
            ("GET", "/livez", "close"),
        )
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    answers = []
    async with asyncio.timeout(20):
        for request in requests:
            writer.write(request.encode())
            answers.append(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert [answer.partition(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 4
    assert json.loads(body)["status"] == "ok"


async def test_more_streams_than_allowed_are_refused_until_one_ends(dsn, registry, alice, bob, sql):
    job_id = make_job(sql, alice, status="running")
    async with serving(dsn, registry, streams_per_user=2) as served:
        async with served.events(alice) as first, served.events(alice, f"/jobs/{job_id}/events") as second:
            await first.next()
            await second.next()
            refused = await served.call(alice, "GET", "/jobs/events")
            async with served.events(bob) as others:
                assert others.response.status_code == 200
        await until(lambda: open_streams(served) == 0)
        async with served.events(alice) as again:
            assert again.response.status_code == 200

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert int(refused.headers["retry-after"]) > 0


async def test_an_outage_ends_no_stream(dsn, registry, alice, sql, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(streams, "_OUTAGE_SECONDS", 0.05)
    monkeypatch.setattr(watching, "_LONGEST_PAUSE_SECONDS", 0.1)
    job_id = make_job(sql, alice, status="running")
    async with relay_to(dsn) as relay, serving(relay.dsn, registry) as served, served.events(alice, f"/jobs/{job_id}/events") as events:
        await events.next()
        relay.cut()
        complete(sql, job_id)
        reading = asyncio.create_task(events.rest())
        await until(lambda: len(events.comments) >= 3)
        relay.restore()

        assert [job["status"] for job in await reading] == ["completed"]


async def test_a_client_that_hangs_up_costs_nothing_any_more(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with served.events(alice) as events:
        await events.next()
        assert open_streams(served) == 1
    async with served.events(alice, f"/jobs/{job_id}/events") as events:
        await events.next()

    await until(lambda: open_streams(served) == 0)
    await until(lambda: not served.server.server_state.tasks)


async def test_a_waiter_that_hangs_up_is_waited_for_no_longer(served, alice, sql):
    job_id = make_job(sql, alice, status="running")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await served.call(alice, "GET", f"/jobs/{job_id}?wait=60")

    await until(lambda: not served.server.server_state.tasks)


@asynccontextmanager
async def raw_stream(served, user, path, *, buffer_bytes):
    """A stream on a socket that is read by hand."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", served.port))
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token(user)}\r\n\r\n"
        await loop.sock_sendall(client, request.encode())
        yield client


async def test_a_reader_that_takes_nothing_is_dropped(served, alice, sql, monkeypatch):
    monkeypatch.setattr(server_module, "STALL_SECONDS", 0.1)
    for _ in range(20):
        make_job(sql, alice, status="completed", result=json.dumps("x" * 1_000_000))
    async with raw_stream(served, alice, "/jobs/events", buffer_bytes=4096):
        await until(lambda: open_streams(served) == 1)

        await until(lambda: open_streams(served) == 0)
        await until(lambda: not served.server.server_state.connections)


async def test_a_slow_reader_gets_all_of_it(served, alice, sql, monkeypatch):
    monkeypatch.setattr(server_module, "STALL_SECONDS", 0.3)
    job_id = make_job(sql, alice, status="completed", result=json.dumps("x" * 8_000_000))
    received = 0
    async with raw_stream(served, alice, f"/jobs/{job_id}/events", buffer_bytes=65536) as client, asyncio.timeout(30):
        while part := await asyncio.get_running_loop().sock_recv(client, 65536):
            received += len(part)
            await asyncio.sleep(0.02)  # how slow it is

    assert received > 8_000_000


async def test_the_stop_ends_streams_and_waits_politely(dsn, registry, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with serving(dsn, registry) as served:
        waiting = asyncio.create_task(served.call(alice, "GET", f"/jobs/{job_id}?wait=60"))
        await until(lambda: has_looked(sql))
        async with served.events(alice) as all_own, served.events(alice, f"/jobs/{job_id}/events") as one:
            await all_own.next()
            await one.next()
            served.stop()

            # Cut off, they would raise.
            assert (await all_own.rest(), await one.rest()) == ([], [])
            assert all_own.comments[-1] == one.comments[-1] == ": the server is about to stop, come again"
        assert (await waiting).json()["status"] == "running"
