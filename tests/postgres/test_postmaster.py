"""Reading `postmaster.pid` and the process table. The states of a real server are in test_embedded."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobhub.postgres import postmaster
from jobhub.postgres.postmaster import Postmaster, find_running, read_postmaster, remove_leftovers, runs_on


@pytest.fixture
def pgdata(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def impostor(pgdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called postgres and lives in the data directory."""
    program = tmp_path_factory.mktemp("bin") / "postgres"
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(sleep, program)
    process = subprocess.Popen([program, "60"], cwd=pgdata)
    yield process
    process.kill()
    process.wait()


def write_pid_file(pgdata: Path, pid: int, status: str = "ready   ") -> Path:
    path = pgdata / "postmaster.pid"
    path.write_text(f"{pid}\n{pgdata}\n1795477045\n5432\n{pgdata}/run\n\n  1449988         9\n{status}\n")
    return path


def test_a_pid_file_is_read(pgdata: Path) -> None:
    write_pid_file(pgdata, 42)

    assert read_postmaster(pgdata) == Postmaster(42, 5432, f"{pgdata}/run", "ready")


@pytest.mark.parametrize("text", [None, "", "42\n", "42\n/x\n1\n5432", "x\n/x\n1\n5432\n/run\n"])
def test_a_missing_or_half_written_pid_file_is_none(pgdata: Path, text: str | None) -> None:
    if text is not None:
        (pgdata / "postmaster.pid").write_text(text)

    assert read_postmaster(pgdata) is None


def test_a_server_that_has_not_said_ready_is_starting(pgdata: Path) -> None:
    (pgdata / "postmaster.pid").write_text(f"42\n{pgdata}\n1\n5432\n/run\n")

    found = read_postmaster(pgdata)
    assert found is not None
    assert (found.status, found.is_ready) == ("starting", False)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process table does not tell a process's directory")
def test_a_server_counts_only_in_its_own_directory(
    impostor: subprocess.Popen[bytes], pgdata: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert runs_on(impostor.pid, pgdata)
    assert not runs_on(impostor.pid, tmp_path_factory.mktemp("elsewhere"))


@pytest.mark.parametrize("by_ps", [False, True])
def test_a_zombie_does_not_run(impostor: subprocess.Popen[bytes], pgdata: Path, by_ps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_ps:
        if shutil.which("ps") is None:
            pytest.skip("there is no ps on this machine; it is asked where there is no /proc")
        monkeypatch.setattr(postmaster, "PROCESS_TABLE", pgdata / "missing")
    assert runs_on(impostor.pid, pgdata)

    impostor.kill()
    os.waitid(os.P_PID, impostor.pid, os.WEXITED | os.WNOWAIT)  # dead, and not buried

    assert not runs_on(impostor.pid, pgdata)


def test_lock_files_of_another_program_are_removed(pgdata: Path) -> None:
    sleep = subprocess.Popen(["sleep", "60"], cwd=pgdata)
    try:
        pid_file = write_pid_file(pgdata, sleep.pid)
        socket_lock = pgdata / "socket.lock"
        socket_lock.write_text(f"{sleep.pid}\n{pgdata}\n")

        assert find_running(pgdata) is None
        remove_leftovers(pgdata, socket_lock)
        assert not pid_file.exists()
        assert not socket_lock.exists()
    finally:
        sleep.kill()
        sleep.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process table does not tell a process's directory")
def test_where_the_directory_is_hidden_the_owner_decides(
    impostor: subprocess.Popen[bytes], pgdata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError("as for root in a container without CAP_SYS_PTRACE")

    monkeypatch.setattr(Path, "samefile", refuse)

    assert runs_on(impostor.pid, pgdata)
    assert runs_on(impostor.pid, Path("/")) is (os.geteuid() == 0)
    impostor.kill()
    os.waitid(os.P_PID, impostor.pid, os.WEXITED | os.WNOWAIT)
    assert not runs_on(impostor.pid, pgdata)


def test_a_pid_file_of_a_running_server_stays(impostor: subprocess.Popen[bytes], pgdata: Path) -> None:
    path = write_pid_file(pgdata, impostor.pid)

    remove_leftovers(pgdata, pgdata / "socket.lock")
    assert path.exists()


def test_a_pid_file_of_nobody_is_left_to_postgresql(impostor: subprocess.Popen[bytes], pgdata: Path) -> None:
    path = write_pid_file(pgdata, impostor.pid)
    impostor.kill()
    impostor.wait()

    remove_leftovers(pgdata, pgdata / "socket.lock")
    assert path.exists()


def test_the_negative_number_of_a_single_user_server_is_its_process(impostor: subprocess.Popen[bytes], pgdata: Path) -> None:
    path = write_pid_file(pgdata, -impostor.pid, status="")

    assert find_running(pgdata) is not None
    remove_leftovers(pgdata, pgdata / "socket.lock")
    assert path.exists()
