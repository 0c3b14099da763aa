"""`jobhub worker` as a process of its own, and waiting for what it does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from jobhub.domain.users import User
from tests import factories

REPOSITORY = Path(__file__).parents[2]
HANDLERS = "tests.worker.handlers"
COMMAND = ("-m", "jobhub", "worker")


class WorkerProcess:
    """One running `jobhub worker`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 20) -> int:
        return self.process.wait(seconds)


@contextmanager
def worker_process(
    dsn: str, directory: Path, *arguments: str, command: tuple[str, ...] = COMMAND, **environ: str
) -> Iterator[WorkerProcess]:
    """A worker; killed at the end of the block if it still lives."""
    log = directory / f"worker-{time.monotonic_ns()}.log"
    given = {name: value for name, value in os.environ.items() if not name.startswith(("JOBHUB_", "DATABASE_URL"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            env=given | {"JOBHUB_DATABASE_URL": dsn, "JOBHUB_HANDLERS": HANDLERS} | environ,
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
        )
    try:
        yield WorkerProcess(process, log)
    except BaseException:
        print(f"--- {log.name}\n{log.read_text()[-6000:]}")
        raise
    finally:
        process.kill()
        process.wait()


def wait_for(look: Callable[[], Any], *, seconds: float = 15) -> Any:
    """What `look` returns once that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.01)
    return found


def wait_for_status(sql: psycopg.Connection, job_id: UUID, status: str, *, seconds: float = 15) -> Any:
    """The job's row once it has the status."""

    def look() -> Any:
        row = factories.job_row(sql, job_id)
        return row if row.status == status else None

    return wait_for(look, seconds=seconds)


def wait_for_lines(path: Path, count: int = 1, *, seconds: float = 15) -> list[str]:
    """The lines of a file once it has so many."""

    def look() -> list[str] | None:
        lines = path.read_text().splitlines() if path.exists() else []
        return lines if len(lines) >= count else None

    return wait_for(look, seconds=seconds)


def make_file_job(sql: psycopg.Connection, owner: User, job_type: str, path: Path, **columns: Any) -> UUID:
    return factories.make_job(sql, owner, job_type=job_type, parameters=f'{{"path": "{path}"}}', **columns)


def attempts(sql: psycopg.Connection, job_id: UUID) -> list[tuple[int, str]]:
    """Number and outcome of each attempt on record."""
    rows = sql.execute("SELECT number, outcome FROM job_attempts WHERE job_id = %s ORDER BY number", [job_id])
    return [(row.number, row.outcome) for row in rows]


def worker_rows(sql: psycopg.Connection) -> list[Any]:
    return sql.execute("SELECT * FROM workers ORDER BY started_at").fetchall()


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
