"""The streams of open pages, over a real socket: what changed since the page was made, and nothing to those who may not see it."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from jobhub.services import streams
from tests import factories
from tests.factories import make_job
from tests.web.serving import serving
from tests.web.test_events import open_streams, progress, until
from tests.web.test_waiting import complete
from tests.web.ui.pages import make_person


@pytest.fixture
async def served(dsn, registry):
    async with serving(dsn, registry) as served:
        yield served


async def cookies_of(served, user):
    answer = await served.client.post("/ui/sign-in", data={"email": user.email, "password": factories.PASSWORD})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].partition(";")[0]
    served.client.cookies.clear()
    return {"cookie": cookie}


@asynccontextmanager
async def stream(served, headers, path):
    async with served.client.stream("GET", path, headers=headers) as response:
        yield Stream(response)


class Stream:
    """Events as (name, content)."""

    def __init__(self, response):
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self):
        name = None
        async with asyncio.timeout(20):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    return name, json.loads(line[6:])
        return None


async def test_a_change_of_a_row_comes_as_that_row(served, carol, sql):
    job_id = make_job(sql, carol, status="running", title="<b>bold</b>")
    headers = await cookies_of(served, carol)
    async with stream(served, headers, f"/ui/events?rows={job_id}.1") as events:
        progress(sql, job_id, 40)
        name, change = await events.next()

    assert events.response.headers["content-type"] == "text/event-stream"
    assert (name, change["id"], change["status"]) == ("row", str(job_id), "running")
    assert '<progress max="100" value="40"' in change["html"]
    assert change["html"].strip().startswith(f'<tr id="job-{job_id}"')
    assert "<b>" not in change["html"]


async def test_what_changed_before_the_stream_began_comes_at_once(served, carol, sql):
    job_id = make_job(sql, carol, status="running", version=7)
    headers = await cookies_of(served, carol)
    async with stream(served, headers, f"/ui/events?rows={job_id}.6") as events:
        name, change = await events.next()

    assert (name, 'data-version="7"' in change["html"]) == ("row", True)


async def test_a_newer_job_is_news(served, carol, sql):
    headers = await cookies_of(served, carol)
    async with stream(served, headers, "/ui/events?rows=&newest=1") as events:
        first = make_job(sql, carol)
        one = await events.next()
        second = make_job(sql, carol)
        two = await events.next()

    assert [(name, change["id"]) for name, change in (one, two)] == [("news", str(first)), ("news", str(second))]


async def test_another_users_job_is_never_shown(served, carol, bob, sql):
    theirs, mine = make_job(sql, bob, title="a secret of bob's"), make_job(sql, carol, status="running")
    headers = await cookies_of(served, carol)
    async with stream(served, headers, f"/ui/events?rows={theirs}.0,{mine}.0&newest=1&owners=1") as events:
        sql.execute("UPDATE jobs SET version = version + 1 WHERE id = %s", [theirs])
        name, change = await events.next()

    assert (name, change["id"]) == ("row", str(mine))


async def test_an_administrator_sees_the_owner_in_the_row(served, root, carol, sql):
    job_id = make_job(sql, carol, status="running")
    headers = await cookies_of(served, root)
    async with stream(served, headers, f"/ui/events?rows={job_id}.0&owners=1") as events:
        _, change = await events.next()

    assert "carol@example.org" in change["html"]


async def test_the_stream_of_a_job_ends_with_the_job(served, carol, sql):
    job_id = make_job(sql, carol, status="running")
    headers = await cookies_of(served, carol)
    async with stream(served, headers, f"/ui/jobs/{job_id}/events") as events:
        first = await events.next()
        complete(sql, job_id, version=2)
        rest = [await events.next(), await events.next()]

    assert first == ("news", {"id": str(job_id), "version": 1, "pace_seconds": 0.1})
    assert rest == [("news", {"id": str(job_id), "version": 2, "pace_seconds": 0.1}), None]


async def test_who_is_an_administrator_no_more_hears_nothing_of_others_jobs(served, root, carol, sql):
    job_id = make_job(sql, carol, status="running")
    headers = await cookies_of(served, root)
    async with stream(served, headers, f"/ui/jobs/{job_id}/events") as events:
        first = await events.next()
        sql.execute("UPDATE users SET role = 'user' WHERE id = %s", [root.id])
        progress(sql, job_id, 40)
        then = await events.next()

    assert first[0] == "news"
    assert then is None


async def test_the_more_pages_are_open_the_less_often_each_is_to_ask_for_all_of_it(served, carol, sql):
    job_id = make_job(sql, carol, status="running")
    headers = await cookies_of(served, carol)
    async with (
        stream(served, headers, f"/ui/events?rows={job_id}.1") as one,
        stream(served, headers, f"/ui/events?rows={job_id}.1"),
        stream(served, headers, "/ui/events?rows=&newest=1") as three,
    ):
        await until(lambda: open_streams(served) == 3)
        progress(sql, job_id, 40)
        paces = [(await events.next())[1]["pace_seconds"] for events in (one, three)]

    assert paces == [0.3, 0.3]


async def test_signing_out_ends_an_open_stream(served, carol, sql, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.2)
    headers = await cookies_of(served, carol)
    async with stream(served, headers, "/ui/events?rows=&newest=1") as events:
        await until(lambda: open_streams(served))
        sql.execute("DELETE FROM sessions")

        assert await events.next() is None


async def test_an_open_page_keeps_no_session_alive(served, carol, sql, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    headers = await cookies_of(served, carol)
    async with stream(served, headers, "/ui/events?rows=&newest=1") as events:
        await until(lambda: open_streams(served))
        sql.execute("UPDATE sessions SET seen_at = now() - interval '1 h'")
        make_job(sql, carol)
        await events.next()

    assert sql.execute("SELECT seen_at < now() - interval '59 minutes' AS is_old FROM sessions").fetchone().is_old


@pytest.mark.parametrize("rows", ["x", "x.1", "ID", "ID.x", "ID.-1", f"ID.{2**63}", ",".join(["ID.1"] * 101)])
async def test_what_our_pages_do_not_ask_for_is_a_400(browser, rows):
    rows = ",".join(part.replace("ID", str(factories.new_id())) for part in rows.split(","))

    assert (await browser.get(f"/ui/events?rows={rows}")).status_code == 400


async def test_a_stranger_gets_no_stream(api, sql):
    make_person(sql, "dave@example.org")

    assert (await api.client.get("/ui/events")).status_code == 401
