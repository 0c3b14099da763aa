"""What `postmaster.pid` and the process table say about the server of a data directory.

Not here: starting or stopping it. Source for the file: PostgreSQL's src/include/utils/pidfile.h.
"""

import os
import subprocess
from pathlib import Path

import msgspec

READY = ("ready", "standby")  # takes connections; the others are starting and stopping
PROGRAMS = ("postgres", "postmaster")
PROCESS_TABLE = Path("/proc")  # Linux; elsewhere `ps` is asked


class Postmaster(msgspec.Struct, frozen=True):
    """The process that a `postmaster.pid` names, dead or alive. Socket and port are certain once it is ready."""

    pid: int
    port: int
    socket_dir: str
    status: str

    @property
    def is_ready(self) -> bool:
        return self.status in READY


def read_postmaster(pgdata: Path) -> Postmaster | None:
    """Who holds the data directory, by its own word (a negative number is `postgres --single`). None: no file, or half a file."""
    try:
        lines = os.fsdecode((pgdata / "postmaster.pid").read_bytes()).splitlines()
        pid, _, _, port, socket_dir, *others = lines
        return Postmaster(abs(int(pid)), int(port), socket_dir, others[2].strip() if len(others) > 2 else "starting")
    except (FileNotFoundError, ValueError):
        return None


def find_running(pgdata: Path) -> Postmaster | None:
    """The server that works on the data directory right now. None: no server, or a crash left its file behind."""
    found = read_postmaster(pgdata)
    return found if found and runs_on(found.pid, pgdata) else None


def remove_leftovers(pgdata: Path, socket_lock: Path) -> None:
    """Delete the lock files of the data and of the socket whose process is a zombie or something else by now.

    PostgreSQL takes both for a running server. If no process has the number at all, it sees that itself, and whether backends of
    the dead server live on. Only under the lock of the directory.
    """
    for path in (pgdata / "postmaster.pid", socket_lock):
        pid = _first_number(path)
        if pid is not None and _exists(pid) and not runs_on(pid, pgdata):
            path.unlink(missing_ok=True)


def _first_number(path: Path) -> int | None:
    try:
        return abs(int(path.read_bytes().split()[0]))
    except (FileNotFoundError, ValueError, IndexError):
        return None


def runs_on(pid: int, pgdata: Path) -> bool:
    """Whether the process is a PostgreSQL server, no zombie, and at home in this data directory."""
    process = PROCESS_TABLE / str(pid)
    if not (PROCESS_TABLE / "self" / "stat").exists():
        return _runs_by_ps(pid)
    try:
        name, _, fields = (process / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        return name in PROGRAMS and fields.split()[0] not in "ZX" and _is_at_home(process, pgdata)
    except (FileNotFoundError, ProcessLookupError):
        return False


def _is_at_home(process: Path, pgdata: Path) -> bool:
    try:
        return (process / "cwd").samefile(pgdata)
    except PermissionError:  # root in a container without CAP_SYS_PTRACE. A server always runs as the owner of its data
        return process.stat().st_uid == pgdata.stat().st_uid


def _runs_by_ps(pid: int) -> bool:
    answer = subprocess.run(["ps", "-o", "stat=", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True)
    state, _, program = answer.stdout.strip().partition(" ")
    return bool(state) and state[0] != "Z" and Path(program.strip()).name in PROGRAMS


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
