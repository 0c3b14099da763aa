"""What the tests of the embedded server share: a starter in a process of its own, and looking at what is there."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobhub.postgres.binaries import Binaries
from jobhub.postgres.embedded import EmbeddedServer
from jobhub.postgres.postmaster import read_postmaster

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
