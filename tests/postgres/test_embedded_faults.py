"""The embedded server with several starters at once, and every way it may die: real processes, killed for real."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from jobhub.postgres import embedded
from jobhub.postgres.account import server_account
from jobhub.postgres.embedded import EmbeddedServer
from jobhub.postgres.postmaster import find_running
from jobhub.postgres.process import spawn
from tests.postgres.starting import Starter, execute, leave_a_row, needs_linux, postmaster_pid, row_is_there, state_of, wait_until


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
