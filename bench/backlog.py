"""What lies in the tables must not slow a claim: the rate with much waiting, with much scheduled, and under a snapshot held open.

    .venv/bin/python -m bench.backlog [--conditions empty waiting scheduled snapshot] [--waiting 500000] [--scheduled 1000000] [--runs 5]

empty      a queue of --jobs and nothing else: what the others are compared with
waiting    --waiting jobs are due
scheduled  --jobs are due, and --scheduled more, at a higher priority, tomorrow
snapshot   a REPEATABLE READ transaction was opened, --finished jobs were worked off since, and now --jobs more are: PostgreSQL must keep
           every dead row version that transaction could see

The rate is that of handlers' starts in one worker process: over a window that begins 0.3 s after the first one, or, under the snapshot,
over the jobs after the --finished ones.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import psycopg

from bench import run, starts
from bench.goals import at_least
from bench.peers.everyone import PEERS, missing_note
from bench.processes import Unmeasured, Workers, running_workers
from bench.server import Server
from bench.tables import Table, median, ratio

TITLE = "Draining beside what lies there"
CONDITIONS = ("empty", "waiting", "scheduled", "snapshot")
QUICK = {"jobs": 4_000, "waiting": 20_000, "scheduled": 50_000, "finished": 5_000, "seconds": 1.0}
SETTLE_SECONDS = 0.3
SECONDS = 120.0
HIGHER_PRIORITY = 10

Rates = dict[tuple[str, str], list[float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--jobs", type=int, default=20_000, help="due jobs where no other number is given; Procrastinate gets a tenth")
    parser.add_argument("--waiting", type=int, default=500_000)
    parser.add_argument("--scheduled", type=int, default=1_000_000)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1.5, help="the window")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    rates: Rates = {}
    failures: list[str] = []
    for _, peer in run.in_turn(options):
        for condition in options.conditions:
            with run.noting_failure(peer, condition, failures), _prepared(server, peer, condition, options) as dsn:
                measure = _rate_after_finished if condition == "snapshot" and peer.SLOW == 1 else _rate
                rates.setdefault((condition, peer.NAME), []).append(measure(peer, dsn, options))
    yield _table(options, rates, failures)


@contextmanager
def _prepared(server: Server, peer: ModuleType, condition: str, options: argparse.Namespace) -> Iterator[str]:
    """A database in that condition."""
    jobs = options.jobs // peer.SLOW
    empty = server.template(f"{peer.NAME}-empty", peer.prepare)
    if condition == "snapshot":
        due = options.finished if peer.SLOW > 1 else options.finished + jobs
        with server.database(_due_template(server, peer, due, empty)) as dsn, _held_snapshot(dsn):
            if peer.SLOW > 1:
                peer.finish_waiting(dsn)
                peer.fill(dsn, jobs)
            yield dsn
        return
    source = later_template(server, peer, options.scheduled) if condition == "scheduled" else empty
    due = options.waiting if condition == "waiting" else jobs
    with server.database(_due_template(server, peer, due, source)) as dsn:
        yield dsn


def _due_template(server: Server, peer: ModuleType, jobs: int, source: str) -> str:
    return server.template(f"{source}-{jobs}-due", lambda dsn: peer.fill(dsn, jobs), source=source)


def later_template(server: Server, peer: ModuleType, jobs: int) -> str:
    """A database with so many jobs for tomorrow, at a higher priority than those that will be due."""

    def build(dsn: str) -> None:
        peer.fill(dsn, jobs, first_at=datetime.now(UTC) + timedelta(days=1), every_seconds=0.01, priority=HIGHER_PRIORITY)

    return server.template(f"{peer.NAME}-{jobs}-later", build, source=server.template(f"{peer.NAME}-empty", peer.prepare))


@contextmanager
def _held_snapshot(dsn: str) -> Iterator[None]:
    with psycopg.connect(dsn, autocommit=True) as report:
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM pg_class")
        yield


def _rate(peer: ModuleType, dsn: str, options: argparse.Namespace) -> float:
    """Starts per second in the window, or until nearly all of a small queue has started."""
    nearly_all = 0.9 * options.jobs // peer.SLOW
    with running_workers(peer, dsn) as workers:
        workers.wait_for(workers.started, seconds=SECONDS)
        span_ns = int((SETTLE_SECONDS + options.seconds) * 1e9)
        workers.wait_for(lambda: _elapsed_ns(workers) > span_ns or workers.started() > nearly_all, seconds=SECONDS, every_seconds=0.05)
        return _slope(starts.counted(workers.directory), span_ns)


def _rate_after_finished(peer: ModuleType, dsn: str, options: argparse.Namespace) -> float:
    """Starts per second of nearly all jobs that come after the finished ones."""
    nearly_all = options.finished + int(0.9 * options.jobs)
    with running_workers(peer, dsn) as workers:
        workers.wait_for(lambda: workers.started() > nearly_all, seconds=SECONDS, every_seconds=0.05)
        return _slope([point for point in starts.counted(workers.directory) if options.finished <= point[1] <= nearly_all], None)


def _elapsed_ns(workers: Workers) -> int:
    counts = starts.counted(workers.directory)
    return counts[-1][0] - counts[0][0]


def _slope(counts: list[tuple[int, int]], span_ns: int | None) -> float:
    """Starts per second, of the window if `span_ns` gives its end."""
    began_at = counts[0][0]
    window = [point for point in counts if span_ns and SETTLE_SECONDS * 1e9 <= point[0] - began_at <= span_ns]
    # A queue that was empty before it settled is measured whole.
    kept = window if len(window) > 20 else counts
    (first_at, first), (last_at, last) = kept[0], kept[-1]
    if last_at == first_at:
        raise Unmeasured("too few starts to measure")
    return (last - first) / (last_at - first_at) * 1e9


def _table(options: argparse.Namespace, rates: Rates, failures: list[str]) -> Table:
    names = [peer.NAME for peer in PEERS if any((condition, peer.NAME) in rates for condition in CONDITIONS)]
    rows = [[name, *(_cell(rates, condition, name) for condition in CONDITIONS)] for name in names]
    return Table(
        title=TITLE,
        command=f"python -m bench.backlog --jobs {options.jobs} --waiting {options.waiting} --scheduled {options.scheduled}"
        f" --finished {options.finished} --seconds {options.seconds} --runs {options.runs}",
        note="Jobs a second that one worker process starts; × is compared with the peer's own empty case. Procrastinate's finished jobs "
        "under the snapshot were finished by SQL that leaves the same row versions: its worker would take minutes."
        + missing_note(options.peers)
        + run.failure_note(failures),
        header=[
            "",
            f"empty: {options.jobs:,} due",
            f"{options.waiting:,} waiting",
            f"{options.scheduled:,} scheduled, higher priority",
            f"snapshot held, {options.finished:,} finished",
        ],
        rows=rows,
        goals=[
            goal
            for condition in CONDITIONS[1:]
            for goal in at_least(
                f"drain, {condition}", 0.9, "its own empty case", rates.get((condition, "jobhub"), []), rates.get(("empty", "jobhub"), [])
            )
        ],
    )


def _cell(rates: Rates, condition: str, name: str) -> str:
    found, own = rates.get((condition, name), []), rates.get(("empty", name), [])
    return f"{median(found)}, × {ratio(found, own)}" if found and own and condition != "empty" else median(found)


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
