"""How late scheduled jobs start when 500 a second become due and a million more lie there for later.

    .venv/bin/python -m bench.promote [--rate 500] [--seconds 4] [--scheduled 1000000] [--runs 5]

One worker process. Lateness is the handler's first line less the time the job was scheduled for, both by this machine's clock.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from bench import run, starts
from bench.backlog import later_template
from bench.goals import at_most
from bench.peers.everyone import PEERS, missing_note
from bench.processes import running_workers
from bench.server import Server
from bench.tables import Table, median, percentile

TITLE = "From due to started"
QUICK = {"scheduled": 50_000, "seconds": 3}
AHEAD_SECONDS = 2.0  # for the fill
SECONDS = 60.0  # for the worker to come up
GIVE_UP_SECONDS = 10.0  # after the last one was due; what has not started then counts as started then
SHARES = {"p50": 0.50, "p99": 0.99, "max": 1.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=int, default=500, help="jobs that become due in a second")
    parser.add_argument("--seconds", type=int, default=4, help="for how long")
    parser.add_argument("--scheduled", type=int, default=1_000_000, help="jobs for tomorrow")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    late: dict[str, list[list[float]]] = {}
    failures: list[str] = []
    for _, peer in run.in_turn(options):
        with run.noting_failure(peer, "promote", failures), server.database(later_template(server, peer, options.scheduled)) as dsn:
            late.setdefault(peer.NAME, []).append(_lateness(peer, dsn, options))
    yield Table(
        title=f"{TITLE}: {options.rate} due a second for {options.seconds} s, {options.scheduled:,} scheduled for later",
        command=f"python -m bench.promote --rate {options.rate} --seconds {options.seconds} --scheduled {options.scheduled} --runs {options.runs}",
        note="Milliseconds from the time a job was scheduled for to its handler's first line: percentiles of a run, then median and spread "
        f"of the runs. A job that had not started {GIVE_UP_SECONDS:.0f} s after the last one was due counts as started then. Those for later "
        "have a higher priority." + missing_note(options.peers) + run.failure_note(failures),
        header=["", *(f"{name}, ms" for name in SHARES)],
        rows=[
            [peer.NAME, *(median([percentile(one, share) for one in late[peer.NAME]], 0) for share in SHARES.values())]
            for peer in PEERS
            if late.get(peer.NAME)
        ],
        goals=at_most(
            f"from due to started, {options.rate} a second, p99", 1_000, "ms", [percentile(one, 0.99) for one in late.get("jobhub", [])]
        ),
    )


def _lateness(peer: ModuleType, dsn: str, options: argparse.Namespace) -> list[float]:
    jobs = options.rate * options.seconds
    peer.fill(dsn, 1)
    with running_workers(peer, dsn, each_start=True) as workers:
        workers.wait_for(lambda: starts.each_start(workers.directory), seconds=SECONDS, every_seconds=0.05)
        first_at = datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS)
        peer.fill(dsn, jobs, first_at=first_at, every_seconds=1 / options.rate)
        given_up_at = first_at.timestamp() + options.seconds + GIVE_UP_SECONDS
        workers.wait_for(
            lambda: len(starts.each_start(workers.directory)) >= jobs or time.time() > given_up_at,
            seconds=given_up_at,
            every_seconds=0.2,
        )
        started = starts.each_start(workers.directory)
        due = {n: first_at.timestamp() + n / options.rate for n in range(2, jobs + 1)}  # the first number was used above
        return [(started.get(n, given_up_at * 1e9) / 1e9 - at) * 1e3 for n, at in due.items()]


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
