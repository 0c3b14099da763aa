"""How fast waiting jobs that do nothing are worked off, beside the peers, on one server in one run.

    .venv/bin/python -m bench.drain [--jobs 20000] [--runs 5] [--workers 1]

The queue is filled, vacuumed and analysed first; then the worker processes start. The clock runs from the first job that is finished to
the last one, so that nobody's start counts. Runs of all peers are interleaved. The server is the embedded one with its durable settings.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import psycopg

from bench.peers import jobhub_peer, pgqueuer_peer, plain_sql_peer, procrastinate_peer
from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import start_server

PEERS: list[ModuleType] = [jobhub_peer, procrastinate_peer, pgqueuer_peer, plain_sql_peer]


@contextmanager
def server() -> Iterator[str]:
    """The address of a durable server with nothing on it."""
    directory = Path(tempfile.mkdtemp(prefix="jobhub-bench-"))
    directory.chmod(0o755)
    started = start_server(directory, find_binaries(os.environ), environ=os.environ, database="postgres")
    try:
        yield started.dsn
    finally:
        started.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def database(server_dsn: str) -> Iterator[str]:
    """The address of an empty database."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")
        yield server_dsn.replace("/postgres?", "/bench?")
        connection.execute("DROP DATABASE bench WITH (FORCE)")


def drain(peer: ModuleType, dsn: str, *, jobs: int, workers: int) -> float:
    """Jobs per second."""
    peer.prepare(dsn)
    peer.fill(dsn, jobs)
    environ = os.environ | {"JOBHUB_DATABASE_URL": dsn} | peer.ENVIRON
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        processes = [
            subprocess.Popen(peer.command(dsn), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(workers)
        ]
        try:
            return measure(lambda: connection.execute(peer.LEFT).fetchone()[0], jobs)
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=60)


def measure(left, jobs: int) -> float:
    """Watch the number of unfinished jobs go down."""
    first: tuple[float, int] | None = None
    while (now := left()) > 0:
        if first is None and now < jobs:
            first = (time.perf_counter(), now)
        time.sleep(0.01)
    if first is None:
        raise SystemExit("too few jobs to measure: all were done between two looks")
    return first[1] / (time.perf_counter() - first[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    figures: dict[str, list[float]] = {}
    with server() as server_dsn:
        for _ in range(options.runs):
            for peer in PEERS:
                if reason := peer.missing():
                    print(f"{peer.NAME}: not measured, {reason}", file=sys.stderr)
                    continue
                # A slow peer gets fewer jobs, or one run would take minutes.
                jobs = options.jobs // 10 if peer is procrastinate_peer else options.jobs
                with database(server_dsn) as dsn:
                    figures.setdefault(peer.NAME, []).append(drain(peer, dsn, jobs=jobs, workers=options.workers))
    base = statistics.median(figures[jobhub_peer.NAME])
    print(f"{options.jobs} jobs, {options.workers} worker process(es), {options.runs} interleaved runs, {os.cpu_count()} cores\n")
    print("| | jobs/s, median | spread | jobhub is × |\n|---|---|---|---|")
    for name, rates in figures.items():
        print(
            f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f}..{max(rates):,.0f} | {base / statistics.median(rates):.2f} |"
        )


if __name__ == "__main__":
    main()
