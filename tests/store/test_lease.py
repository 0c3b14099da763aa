"""The connection a lease is renewed on: blocking, bounded in time, and made anew when it breaks."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import lease
from jobhub.store.dispatch import WorkerRow
from jobhub.store.lease import LeaseConnection
from tests import factories

ROW = WorkerRow(
    worker_id=factories.new_id(), host="h", pid=1, version="0", queues=["default", "mail"], concurrency=7, loop_lag_ms=3, stopping=False
)
PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'jobhub lease' AND datname = current_database()"


@pytest.fixture
def connection(dsn: str) -> Iterator[LeaseConnection]:
    connection = LeaseConnection(dsn)
    yield connection
    connection.close()


def test_the_first_renewal_registers_the_worker_as_it_describes_itself(sql: psycopg.Connection, connection: LeaseConnection) -> None:
    connection.renew(ROW)

    row = sql.execute("SELECT * FROM workers").fetchone()
    assert (row.id, row.host, row.pid, row.version, row.queues, row.concurrency, row.loop_lag_ms, row.stopping) == (
        ROW.worker_id,
        "h",
        1,
        "0",
        ["default", "mail"],
        7,
        3,
        False,
    )


def test_renewals_share_a_connection(sql: psycopg.Connection, connection: LeaseConnection) -> None:
    connection.renew(ROW)
    before = sql.execute(PIDS).fetchall()

    connection.renew(ROW)

    assert sql.execute(PIDS).fetchall() == before


def test_a_terminated_connection_is_made_anew(sql: psycopg.Connection, connection: LeaseConnection) -> None:
    connection.renew(ROW)
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobhub lease'")

    with pytest.raises(DatabaseUnavailable):
        connection.renew(ROW)
    connection.renew(ROW)

    assert sql.execute("SELECT count(*) AS n FROM workers").fetchone().n == 1


def test_no_server_is_a_database_that_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        LeaseConnection("postgresql://nobody@127.0.0.1:1/nothing").renew(ROW)


def test_an_answer_that_does_not_come_is_not_waited_for(
    sql: psycopg.Connection, connection: LeaseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "ANSWER_TIMEOUT_SECONDS", 0.2)
    connection.renew(ROW)
    with sql.transaction():
        sql.execute("SELECT FROM workers FOR UPDATE")
        asked_at = time.monotonic()

        with pytest.raises(DatabaseUnavailable):
            connection.renew(ROW)

        assert time.monotonic() - asked_at < 4  # the server's own limit is 5 s


def test_closing_twice_is_fine(connection: LeaseConnection) -> None:
    connection.renew(ROW)

    connection.close()
    connection.close()
