"""What the process says of itself while the database is there, away, empty or coming back."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from jobhub import app as application
from jobhub.postgres.files import newest_revision
from jobhub.postgres.migrations import migrate
from jobhub.web.edge import Edge
from tests import factories
from tests.conftest import running_lifespan


@asynccontextmanager
async def api_on(dsn, registry, **options):
    """The application on any address of a database, even a dead one."""
    litestar = application.create_litestar(dsn=dsn, keys=factories.KEYS, registry=registry, **options)
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield factories.Api(client)


@pytest.fixture
def closed_port():
    """The address of a database nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else can take it meanwhile
        yield f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/nothing"


@pytest.fixture
def silent_port():
    """The address of something that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"postgresql://nobody@127.0.0.1:{listening.getsockname()[1]}/nothing?sslmode=disable"


async def test_a_working_process_lives_and_is_ready(api):
    live, ready = [await api.call(None, "GET", path) for path in ("/livez", "/readyz")]

    assert (live.status_code, live.json()["status"]) == (200, "ok")
    assert ready.json() == {"status": "ok", "checks": {"database": "ok", "schema": newest_revision()}}


async def test_an_unmigrated_database_is_not_ready_and_the_answer_says_what_to_do(empty_dsn, registry):
    async with api_on(empty_dsn, registry) as api:
        before = await api.call(None, "GET", "/readyz")
        migrate(empty_dsn)
        after = await api.call(None, "GET", "/readyz")

    assert (before.status_code, after.status_code) == (503, 200)
    assert "jobhub migrate" in before.json()["checks"]["schema"]
    assert "retry-after" in before.headers


async def test_an_older_schema_is_not_ready(empty_dsn, registry):
    migrate(empty_dsn, target="0003")

    async with api_on(empty_dsn, registry) as api:
        response = await api.call(None, "GET", "/readyz")

    assert response.status_code == 503
    assert "is at 0003" in response.json()["checks"]["schema"]


@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
async def test_without_a_database_everything_is_a_503_within_three_seconds_but_the_process_lives(request, registry, port):
    async with api_on(request.getfixturevalue(port), registry) as api:
        nobody = factories.User(id=factories.new_id(), email="a@b.c", role="user", disabled=False, created_at=None)
        started = time.perf_counter()
        live, ready, listed, submitted, login = await asyncio.gather(
            api.call(None, "GET", "/livez"),
            api.call(None, "GET", "/readyz"),
            api.call(nobody, "GET", "/jobs"),
            api.call(nobody, "POST", "/jobs", {"job_type": "test.echo", "title": "x"}),
            api.call(None, "POST", "/auth/token", {"email": "a@b.c", "password": "x"}),
        )
        took = time.perf_counter() - started

    assert took < 3.5
    assert (live.status_code, ready.status_code) == (200, 503)
    assert ready.json()["checks"]["database"] == "can't be reached"
    for response in (listed, submitted, login):
        assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["content-type"] == "application/problem+json"
        assert "127.0.0.1" not in response.text


async def test_a_database_that_threw_everybody_out_is_found_again(api, alice, sql):
    await asyncio.gather(*(api.call(alice, "GET", "/jobs") for _ in range(5)))
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobhub api'")

    statuses = []
    deadline = time.monotonic() + 10
    while statuses[-10:] != [200] * 10:
        assert time.monotonic() < deadline, statuses
        statuses.append((await api.call(alice, "GET", "/jobs")).status_code)

    assert set(statuses) <= {200, 503}


async def test_an_unmigrated_database_is_an_outage_and_no_bug(empty_dsn, registry):
    nobody = factories.User(id=factories.new_id(), email="a@b.c", role="user", disabled=False, created_at=None)

    async with api_on(empty_dsn, registry) as api:
        response = await api.call(nobody, "GET", "/jobs")

    assert response.status_code == 503
