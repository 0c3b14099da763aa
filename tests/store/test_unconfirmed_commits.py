"""A COMMIT whose standby does not answer is never told to anybody as a success. On a server of its own, which waits for a standby."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import start_server
from jobhub.postgres.migrations import migrate
from jobhub.store import guessing
from jobhub.store.database import Database
from tests import factories
from tests.worker.attempts import until

pytestmark = pytest.mark.xdist_group("unconfirmed commits")  # one server
WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'under test' AND wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def dsn():
    """A migrated database on a server of which every commit waits for a standby that does not exist."""
    directory = Path(tempfile.mkdtemp(prefix="jobhub-tests-"))
    directory.chmod(0o755)
    environ = {**os.environ, "TMPDIR": "/tmp"}
    server = start_server(directory, find_binaries(environ), environ=environ)
    try:
        migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            connection.execute("SELECT pg_reload_conf()")
        yield server.dsn
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def sql(dsn):
    with psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as connection:
        yield connection
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'under test'")


async def waiting_commit(db: Database, sql: psycopg.Connection):
    """A write whose commit waits for the standby, and the process that serves it."""
    async with asyncio.timeout(10):
        while True:
            writing = asyncio.create_task(guessing.count_login_for_account(db, factories.new_id().bytes * 2, limit=100))
            while not writing.done():
                if found := sql.execute(WAITING).fetchall():
                    return writing, found[0].pid
                await asyncio.sleep(0.01)
            writing.result()  # the server had not read its configuration yet


async def test_a_commit_that_is_given_up_is_not_cancelled_into_a_success(dsn, sql):
    async with Database.open(dsn, max_size=1, application_name="under test", answer_seconds=1.0) as db:
        writing, pid = await waiting_commit(db, sql)

        with pytest.raises(DatabaseUnavailable):
            await writing

        assert [row.pid for row in sql.execute(WAITING)] == [pid]


async def test_a_commit_somebody_else_cancelled_is_no_success(dsn, sql):
    """The server answers it like any other, with a warning that nobody would read."""
    async with Database.open(dsn, max_size=1, application_name="under test", answer_seconds=30) as db:
        writing, pid = await waiting_commit(db, sql)

        sql.execute("SELECT pg_cancel_backend(%s)", [pid])

        with pytest.raises(DatabaseUnavailable):
            await writing


async def test_a_commit_of_a_transaction_somebody_else_cancelled_is_no_success(dsn, sql):
    async with Database.open(dsn, max_size=1, application_name="under test", answer_seconds=30) as db:
        writing, pid = await waiting_commit(db, sql)
        sql.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(DatabaseUnavailable):
            await writing

        async def change() -> None:
            async with db.transaction() as session:
                await guessing.count_login_for_account(session, b"x" * 32, limit=100)

        changing = asyncio.create_task(change())
        found = await until(lambda: sql.execute(WAITING + " AND pid <> %s", [pid]).fetchall())
        sql.execute("SELECT pg_cancel_backend(%s)", [found[0].pid])

        with pytest.raises(DatabaseUnavailable):
            await changing
