import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.faults.proxy import At, Proxies, Proxy, Then, proxies
from tests.worker.processes import wait_for

INSERT = "/* add */ INSERT INTO numbers VALUES (1) RETURNING number"


@pytest.fixture(scope="module")
def thread() -> Iterator[Proxies]:
    with proxies() as started:
        yield started


@pytest.fixture
def proxy(thread: Proxies, dsn: str, sql: psycopg.Connection) -> Proxy:
    sql.execute("CREATE TABLE numbers (number integer)")
    return thread.open(lambda: socket_path(dsn))


def socket_path(dsn: str) -> str:
    query = parse_qs(urlsplit(dsn).query)
    return f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}"


def connect(proxy: Proxy, dsn: str) -> psycopg.Connection:
    name = urlsplit(dsn).path[1:]
    return psycopg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}?sslmode=disable", autocommit=True)


def count(sql: psycopg.Connection) -> int:
    return sql.execute("SELECT count(*) FROM numbers").fetchone()[0]


def test_it_passes_on(proxy: Proxy, dsn: str) -> None:
    with connect(proxy, dsn) as connection:
        assert connection.execute("SELECT %s::text", ["x" * 200_000]).fetchone() == ("x" * 200_000,)


def test_cut_before_a_statement_the_server_never_sees_it(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    trap = proxy.trap("add", at=At.BEFORE)

    with connect(proxy, dsn) as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(INSERT)

    assert trap.caught == ["add"]
    assert count(sql) == 0


def test_cut_after_the_commit_and_before_its_answer(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    proxy.trap("add", at=At.ANSWERED)

    with connect(proxy, dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            connection.execute(INSERT, prepare=True)

    assert count(sql) == 1


def test_cut_once_the_statement_was_sent_it_commits_all_the_same(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    proxy.trap("add", at=At.SENT)

    with connect(proxy, dsn) as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(INSERT)

    wait_for(lambda: count(sql) == 1)


def test_a_trap_catches_as_often_as_it_was_told(proxy: Proxy, dsn: str) -> None:
    trap = proxy.trap("add", at=At.BEFORE, count=2)

    for _ in range(2):
        with connect(proxy, dsn) as connection, pytest.raises(psycopg.OperationalError):
            connection.execute(INSERT)
    with connect(proxy, dsn) as connection:
        connection.execute(INSERT)

    assert trap.caught == ["add", "add"]


def test_a_trap_can_hold_an_answer_and_let_it_go(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    trap = proxy.trap("add", at=At.ANSWERED, then=Then.HOLD)
    found = []

    def insert() -> None:
        with connect(proxy, dsn) as connection:
            found.append(connection.execute(INSERT).fetchone())

    client = threading.Thread(target=insert)
    client.start()
    wait_for(lambda: trap.caught)
    assert (count(sql), found) == (1, [])
    proxy.let_go(trap)
    client.join(10)

    assert found == [(1,)]


def test_in_a_black_hole_nothing_moves_and_nothing_ends(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    found = []
    with connect(proxy, dsn) as connection:
        proxy.black_hole()
        client = threading.Thread(target=lambda: found.append(connection.execute(INSERT).fetchone()))
        client.start()
        client.join(0.3)
        assert (client.is_alive(), count(sql)) == (True, 0)

        proxy.pass_on()
        client.join(10)

    assert (found, count(sql)) == ([(1,)], 1)


def test_half_a_black_hole_swallows_answers_only(proxy: Proxy, dsn: str, sql: psycopg.Connection) -> None:
    with connect(proxy, dsn) as connection:
        proxy.black_hole_answers()
        client = threading.Thread(target=lambda: connection.execute(INSERT))
        client.start()
        wait_for(lambda: count(sql) == 1)
        assert client.is_alive()

        proxy.pass_on()
        client.join(10)

    assert not client.is_alive()


def test_a_reset_ends_what_there_is_and_nothing_else(proxy: Proxy, dsn: str) -> None:
    with connect(proxy, dsn) as connection:
        proxy.reset()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")

    with connect(proxy, dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_refused_connections_end_at_once(proxy: Proxy, dsn: str) -> None:
    proxy.refuse()

    with pytest.raises(psycopg.OperationalError):
        connect(proxy, dsn)

    proxy.pass_on()
    connect(proxy, dsn).close()


def test_repointed_it_leads_elsewhere(proxy: Proxy, dsn: str, tmp_path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as elsewhere:
        elsewhere.bind(path)
        elsewhere.listen()
        proxy.repoint(lambda: path)
        with socket.create_connection(("127.0.0.1", proxy.port)):
            elsewhere.settimeout(10)
            elsewhere.accept()[0].close()
