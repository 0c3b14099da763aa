"""How fast waiting jobs that do nothing are worked off, and what each costs, beside the peers, on one server in one run.

    .venv/bin/python -m bench.drain [--jobs 20000] [--workers 1 2] [--runs 5]

The queue is filled, vacuumed and analysed first; then the worker processes start. The clock runs from the first handler's start, so that
nobody's start-up counts, until the database says that no job is left. CPU is read at the same two moments.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import psycopg

from bench import run, starts
from bench.goals import at_least
from bench.peers.everyone import PEERS, missing_note
from bench.processes import cpu_seconds, running_workers
from bench.server import Server
from bench.tables import Table, median, ratio

TITLE = "Draining jobs that do nothing"
QUICK = {"jobs": 5_000}
WANTED = {"procrastinate": 40.0, "pgqueuer": 1.5, "pg-boss": 1.0}  # times their rate
SECONDS = 180.0  # a peer that is not done by then is not measured
WATCHED_FROM = 0.9  # of all jobs: before that the database is not asked how many are left, which costs it time


class Drain(msgspec.Struct, frozen=True):
    """One drain."""

    jobs_per_second: float
    worker_us: float
    server_us: float
    peak_mib: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=20_000, help="how many; Procrastinate gets a tenth")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="worker processes: one table for each number")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    figures: dict[tuple[int, str], list[Drain]] = {}
    failures: list[str] = []
    for _, peer in run.in_turn(options):
        for workers in options.workers:
            with run.noting_failure(peer, f"{workers} workers", failures):
                figures.setdefault((workers, peer.NAME), []).append(drain(server, peer, options.jobs // peer.SLOW, workers))
    for workers in options.workers:
        yield _table(options, workers, {peer.NAME: figures.get((workers, peer.NAME), []) for peer in PEERS}, failures)


def drain(server: Server, peer: ModuleType, jobs: int, workers: int) -> Drain:
    """Work off a queue that was filled before.

    Raises:
        Unmeasured: it took too long.
    """

    def build(dsn: str) -> None:
        peer.prepare(dsn)
        peer.fill(dsn, jobs)

    template = server.template(f"{peer.NAME}-{jobs}-due", build)
    with (
        server.database(template) as dsn,
        psycopg.connect(dsn, autocommit=True) as watcher,
        running_workers(peer, dsn, count=workers) as running,
    ):
        running.wait_for(running.started, seconds=SECONDS)
        worker_cpu, server_cpu = running.cpu_seconds(), _server_cpu(server, watcher)
        running.wait_for(lambda: running.started() > WATCHED_FROM * jobs, seconds=SECONDS)
        running.wait_for(lambda: watcher.execute(peer.LEFT).fetchone() == (0,), seconds=SECONDS)
        ended_at = time.time_ns()
        worker_us = (running.cpu_seconds() - worker_cpu) * 1e6
        server_us = (_server_cpu(server, watcher) - server_cpu) * 1e6
        began_at, before = starts.counted(running.directory)[0]
        done = jobs - before
        return Drain(done / (ended_at - began_at) * 1e9, worker_us / done, server_us / done, running.peak_mib())


def _server_cpu(server: Server, watcher: psycopg.Connection) -> float:
    """All of the server but the connection that watches."""
    return cpu_seconds(server.pid, without=watcher.info.backend_pid)


def _table(options: argparse.Namespace, workers: int, figures: dict[str, list[Drain]], failures: list[str]) -> Table:
    ours = _values(figures["jobhub"], "jobs_per_second")
    return Table(
        title=f"{TITLE}: {options.jobs:,} jobs, {workers} worker process{'es' if workers > 1 else ''}",
        command=f"python -m bench.drain --jobs {options.jobs} --workers {workers} --runs {options.runs}",
        note="CPU is per job, in µs, of all worker processes and of the whole server; memory is the peak of one worker, in MiB. "
        "Procrastinate gets a tenth of the jobs." + missing_note(options.peers) + run.failure_note(failures),
        header=["", "keeps of a job", "jobs/s", "jobhub is ×", "worker CPU", "server CPU", "memory"],
        rows=[_row(peer, figures[peer.NAME], ours) for peer in PEERS if figures[peer.NAME]],
        goals=[
            goal
            for name, factor in WANTED.items()
            if workers == 1
            for goal in at_least("drain, one worker process", factor, name, ours, _values(figures[name], "jobs_per_second"))
        ],
    )


def _row(peer: ModuleType, drains: list[Drain], ours: list[float]) -> list[str]:
    rates = _values(drains, "jobs_per_second")
    costs = [median(_values(drains, field)) for field in ("worker_us", "server_us", "peak_mib")]
    return [peer.NAME, peer.KEEPS, median(rates), ratio(ours, rates), *costs]


def _values(drains: list[Drain], field: str) -> list[float]:
    return [getattr(drained, field) for drained in drains]


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
