"""How long a worker takes from being started to its first claim, and `jobhub up` from being started to `ready`.

    .venv/bin/python -m bench.worker_start [--runs 5]

Starts `jobhub up` on a data directory of its own and, once it is ready, a worker beside it; the figure of a worker is the start of
its first attempt less the start of the process, both by clocks of this machine.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from bench import run
from bench.peers import jobhub_peer
from bench.processes import Unmeasured
from bench.server import Server
from bench.tables import Table, median

TITLE = "Starting"
QUICK: dict[str, object] = {}
SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    directory = Path(tempfile.mkdtemp(prefix="jobhub-bench-"))
    directory.chmod(0o755)
    try:
        process, first = _up(directory / "data")
        _stop(process)
        again, claims = [], []
        for _ in range(options.runs):
            process, seconds = _up(directory / "data")
            again.append(seconds)
            try:
                claims.append(_first_claim(f"postgresql://postgres@/jobhub?host={directory / 'data' / 'postgres' / 'run'}"))
            finally:
                _stop(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    yield Table(
        title=TITLE,
        command=f"python -m bench.worker_start --runs {options.runs}",
        note="Seconds. The first start makes the database and its schema, and was measured once.",
        header=["", "seconds"],
        rows=[
            ["`jobhub up`, first start", median([first], 2)],
            ["`jobhub up`, data directory exists", median(again, 2)],
            ["`jobhub worker`, start to first claim", median(claims, 2)],
        ],
    )


def _up(data_dir: Path) -> tuple[subprocess.Popen[str], float]:
    """A running `jobhub up` without workers, and the seconds it took to be ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.time()
    command = [sys.executable, "-m", "jobhub", "up", "--port", str(port), "--data-dir", str(data_dir), "--workers", "0"]
    environ = os.environ | {"JOBHUB_HANDLERS": "bench.handlers"}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return process, time.time() - started
    raise Unmeasured("jobhub up did not start")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def _first_claim(dsn: str) -> float:
    """Seconds from the start of a worker process to the start of the job that waits for it."""
    with psycopg.connect(dsn, autocommit=True) as connection, tempfile.TemporaryDirectory() as directory:
        connection.execute("DELETE FROM jobs")
        jobhub_peer.fill(dsn, 1)
        environ = os.environ | jobhub_peer.environ(dsn) | {"BENCH_STARTS_DIRECTORY": directory}
        started = time.time()
        worker = subprocess.Popen(jobhub_peer.command(dsn), env=environ, stderr=subprocess.DEVNULL)
        try:
            return _started_at(connection).timestamp() - started
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def _started_at(connection: psycopg.Connection) -> datetime:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        row = connection.execute("SELECT started_at FROM jobs WHERE started_at IS NOT NULL").fetchone()
        if row:
            found: datetime = row[0]
            return found
        time.sleep(0.005)
    raise Unmeasured("the worker claimed nothing")


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
