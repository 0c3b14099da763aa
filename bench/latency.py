"""How long after the commit of a submit its handler starts: on an idle system, and at 100 jobs a second.

    .venv/bin/python -m bench.latency [--idle 100] [--steady 300] [--rate 100] [--runs 5]

One worker process with a free slot for every job. The submitter notes the moment after its commit was answered, by the wall clock; the
handler's first line notes its own, by the same clock. Each peer submits by its own call or SQL function.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

from bench import run, starts
from bench.goals import at_most
from bench.peers.everyone import PEERS, missing_note
from bench.processes import Unmeasured, Workers, running_workers
from bench.server import Server
from bench.tables import Table, median, percentile, ratio

TITLE = "Start latency"
QUICK = {"idle": 30, "steady": 100}
IDLE_SECONDS = (0.02, 0.05)  # from one submit to the next: never in step with anybody's polling
WANTED_MS = {"p50": 1.5, "p99": 4.0}
SECONDS = 60.0
WARM_UP = 10  # the first jobs meet statements that nobody has planned yet

Submit = Callable[[int], Awaitable[int]]
Figures = dict[tuple[str, str], dict[str, list[float]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--idle", type=int, default=100, help="jobs submitted one by one on an idle system")
    parser.add_argument("--steady", type=int, default=300, help="jobs submitted at a steady rate")
    parser.add_argument("--rate", type=int, default=100, help="that rate, jobs a second")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    figures: Figures = {}
    failures: list[str] = []
    for _, peer in run.in_turn(options):
        with run.noting_failure(peer, "latency", failures):
            for kind, latencies in _latencies(server, peer, options).items():
                found = figures.setdefault((kind, peer.NAME), {"p50": [], "p99": []})
                found["p50"].append(percentile(latencies, 0.50))
                found["p99"].append(percentile(latencies, 0.99))
    for kind, jobs in (("idle", options.idle), ("steady", options.steady)):
        yield _table(options, kind, jobs, figures, failures)


def _latencies(server: Server, peer: ModuleType, options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds from commit to start, by kind."""
    template = server.template(f"{peer.NAME}-empty", peer.prepare)
    with server.database(template) as dsn, running_workers(peer, dsn, each_start=True) as workers:
        return asyncio.run(_measure(peer, dsn, workers, options))


async def _measure(peer: ModuleType, dsn: str, workers: Workers, options: argparse.Namespace) -> dict[str, list[float]]:
    async with peer.enqueuer(dsn) as submit:
        await _warm_up(submit, workers)
        idle = await _submit_all(submit, range(1_000, 1_000 + options.idle), lambda: random.uniform(*IDLE_SECONDS))
        steady = await _submit_all(submit, range(100_000, 100_000 + options.steady), lambda: 1 / options.rate)
    wanted = idle.keys() | steady.keys()
    workers.wait_for(lambda: wanted <= starts.each_start(workers.directory).keys(), seconds=SECONDS, every_seconds=0.1)
    started = starts.each_start(workers.directory)
    return {kind: [(started[n] - at) / 1e6 for n, at in kept.items()] for kind, kept in (("idle", idle), ("steady", steady))}


async def _warm_up(submit: Submit, workers: Workers) -> None:
    """Until the worker has started the first jobs."""
    deadline = time.monotonic() + SECONDS
    for number in range(WARM_UP):
        await submit(number)
        while number not in starts.each_start(workers.directory):
            if time.monotonic() > deadline:
                raise Unmeasured("its worker started no job")
            await asyncio.sleep(0.05)


async def _submit_all(submit: Submit, numbers: range, pause: Callable[[], float]) -> dict[int, int]:
    """The moment each job was committed. A submit that was late does not delay the next one."""
    committed = {}
    due = time.monotonic()
    for number in numbers:
        due += pause()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        committed[number] = await submit(number)
    return committed


def _table(options: argparse.Namespace, kind: str, jobs: int, figures: Figures, failures: list[str]) -> Table:
    measured = [peer.NAME for peer in PEERS if (kind, peer.NAME) in figures]

    def values(name: str, share: str) -> list[float]:
        return figures.get((kind, name), {}).get(share, [])

    what = "idle system, one job at a time" if kind == "idle" else f"{options.rate} jobs a second"
    return Table(
        title=f"{TITLE}: {what}",
        command=f"python -m bench.latency --idle {options.idle} --steady {options.steady} --rate {options.rate} --runs {options.runs}",
        note=f"Milliseconds from commit to the handler's first line; the percentiles of {jobs} jobs a run, then median and spread of "
        "the runs. The last column compares the p50." + missing_note(options.peers) + run.failure_note(failures),
        header=["", "p50, ms", "p99, ms", "its p50 is × jobhub's"],
        rows=[
            [name, median(values(name, "p50"), 2), median(values(name, "p99"), 2), ratio(values(name, "p50"), values("jobhub", "p50"))]
            for name in measured
        ],
        goals=[
            goal
            for share, limit in WANTED_MS.items()
            if kind == "idle"
            for goal in at_most(f"start latency on an idle system, {share}", limit, "ms", values("jobhub", share))
        ],
    )


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
