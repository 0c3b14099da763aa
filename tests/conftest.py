"""What every test may ask for: a real server, a database of its own, users, jobs, and the API without a socket.

Each pytest process has one embedded server (or uses JOBHUB_TEST_DATABASE_URL), and each test a database made from a template.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path

import httpx
import psycopg
import pytest
from _pytest.nodes import coerce_node_id
from litestar import Litestar

from jobhub.app import create_litestar
from jobhub.domain.job_types import Registry
from jobhub.domain.users import User
from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import start_server
from jobhub.postgres.migrations import migrate
from jobhub.store.database import Database
from jobhub.web.edge import Edge
from tests import factories, reporting
from tests.databases import Databases

pytest_plugins = ["tests.running"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make the mark `xdist_group` count: pytest-xdist 3.8 writes the group into `_nodeid`, which pytest 9.2 doesn't read any more."""
    if getattr(config.option, "loadgroup", False):  # xdist sets it in the processes that run tests
        for item in items:
            if mark := item.get_closest_marker("xdist_group"):
                item._id = coerce_node_id(f"{item.nodeid}@{mark.args[0]}")


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A server, and databases on it."""
    if url := os.environ.get("JOBHUB_TEST_DATABASE_URL"):
        yield Databases(url)
        return
    directory = Path(tempfile.mkdtemp(prefix="jobhub-tests-", dir=_in_memory()))
    directory.chmod(0o755)  # the server may have to run as somebody else
    environ = {**os.environ, "TMPDIR": "/tmp"}
    server = start_server(directory, find_binaries(environ), environ=environ, database="postgres", durable=False)
    try:
        yield Databases(server.dsn)
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


def _in_memory() -> str | None:
    """Where thousands of databases are made and dropped in a quarter of the time; None where memory may not hold them."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 4 * 2**30 else None


@pytest.fixture(scope="session")
def template(databases: Databases) -> Iterator[str]:
    """The name of a migrated database to copy."""
    with databases.create() as (name, dsn):
        migrate(dsn)
        yield name


@pytest.fixture
def empty_dsn(databases: Databases) -> Iterator[str]:
    """A database without any schema."""
    with databases.create() as (_, dsn):
        yield dsn


@pytest.fixture
def dsn(databases: Databases, template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    with databases.create(template) as (_, dsn):
        yield dsn


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    async with Database.open(dsn, max_size=8, application_name="tests") as db:
        yield db


@pytest.fixture
def sql(dsn: str) -> Iterator[psycopg.Connection]:
    """A plain connection that sees and does what no statement of the program does."""
    with psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as connection:
        yield connection


@pytest.fixture
def reader_dsn(dsn: str) -> str:
    """The test's database as the role of reports reaches it."""
    return reporting.set_up_reader(dsn)


@pytest.fixture
def reader(reader_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the role of reports."""
    with psycopg.connect(reader_dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as connection:
        yield connection


@pytest.fixture
def alice(sql: psycopg.Connection) -> User:
    return factories.make_user(sql, "alice@example.org")


@pytest.fixture
def bob(sql: psycopg.Connection) -> User:
    return factories.make_user(sql, "bob@example.org")


@pytest.fixture
def admin(sql: psycopg.Connection) -> User:
    return factories.make_user(sql, "admin@example.org", role="admin")


@pytest.fixture(scope="session")
def registry() -> Registry:
    return factories.make_registry()


@lru_cache(maxsize=1)
def _application(registry: Registry) -> Litestar:
    """To put it together takes longer than most tests. What it works with is made anew each time its lifespan begins; its counts go on."""
    return create_litestar(dsn="", keys=factories.KEYS, registry=registry)


@pytest.fixture
async def api(dsn: str, registry: Registry) -> AsyncIterator[factories.Api]:
    """The whole application, spoken to without a socket."""
    litestar = _application(registry)
    litestar.state.dsn = dsn
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield factories.Api(client)


@asynccontextmanager
async def running_lifespan(lifespan) -> AsyncIterator[None]:
    """Hold a lifespan open in one task: pytest enters and leaves fixtures in different ones, which anyio's scopes refuse."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with lifespan():
            started.set()
            await ended.wait()

    task = asyncio.create_task(hold())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    yield
    ended.set()
    await task
