"""Reports must not slow claims: one worker process alone, and beside three long reports of the role jobhub_report.

    .venv/bin/python -m bench.reports_beside [--conditions alone …] [--rate 1000] [--seconds 120] [--jobs 100000] [--history 200000] [--runs 5]

alone      no report, and --history finished jobs
reading    three clients read all attempts in a snapshot of their own, a page of 1,000 rows every 0.2 s, as long as the queue lasts: the
           server must keep every dead row version, but has its processors for itself
computing  three reports aggregate all attempts again and again in one snapshot each: they want a processor each

At a fixed rate: --rate jobs a second become due for --seconds, once for each condition. The figures are how many start in a second, and the
time from the commit of a job to its handler's start.

At full speed: a queue of --jobs, --runs times. The rate is that of handlers' starts, from the first one until nine tenths have started; the
reports had begun before.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from bench import history_fill, run, starts
from bench.feeding import feeding
from bench.goals import at_least
from bench.peers import jobhub_peer
from bench.processes import Unmeasured, running_workers
from bench.server import Server
from bench.tables import Table, median, percentile, ratio
from jobhub.postgres.reporting_role import ROLE, set_up_reporting_role

TITLE = "Draining beside reports"
CONDITIONS = ("alone", "reading", "computing")
QUICK = {"jobs": 10_000, "history": 20_000, "seconds": 5.0}
REPORTS = 3
SECONDS = 600.0
WARM_UP_SECONDS = 3.0  # the first jobs have waited for the worker to start
PAGE_EVERY_SECONDS = 0.2
READ = "DECLARE pages CURSOR FOR SELECT * FROM reporting.attempts_v1"
COMPUTE = """
SELECT job_type, outcome, count(*), percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_seconds)
FROM reporting.attempts_v1 GROUP BY job_type, outcome
"""

T = TypeVar("T")


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that became due at a fixed rate: starts a second, and milliseconds from commit to start."""

    rate: float
    p50: float
    p99: float
    longest: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--rate", type=int, default=1000, help="jobs that become due in a second; 0 leaves this part out")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long")
    parser.add_argument("--jobs", type=int, default=100_000, help="a queue of so many; 0 leaves this part out")
    parser.add_argument("--history", type=int, default=200_000, help="finished jobs, which the reports read")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    if options.rate:
        yield _steady_table(options, _in_turn(server, options, 0, 1, lambda dsn, condition: _steady(dsn, condition, options)))
    if options.jobs:
        yield _table(
            options, _in_turn(server, options, options.jobs, options.runs, lambda dsn, condition: _rate(dsn, condition, options.jobs))
        )


def _in_turn(
    server: Server, options: argparse.Namespace, jobs: int, runs: int, measure: Callable[[str, str], T]
) -> tuple[dict[str, list[T]], list[str]]:
    """What was measured under each condition, and what failed."""
    measured: dict[str, list[T]] = {}
    failures: list[str] = []
    template = server.template(f"reports-{options.history}-{jobs}", lambda dsn: _build(dsn, options.history, jobs))
    for _ in range(runs):
        for condition in options.conditions:
            with run.noting_failure(jobhub_peer, condition, failures), server.database(template) as dsn:
                measured.setdefault(condition, []).append(measure(dsn, condition))
    return measured, failures


def _build(dsn: str, history: int, jobs: int) -> None:
    jobhub_peer.prepare(dsn)
    history_fill.fill(dsn, history)
    jobhub_peer.fill(dsn, jobs)
    set_up_reporting_role(dsn, may_read_private=False, password=None)


def _steady(dsn: str, condition: str, options: argparse.Namespace) -> Steady:
    with ExitStack() as stack:
        _run_reports(stack, dsn, condition)
        workers = stack.enter_context(running_workers(jobhub_peer, dsn, each_start=True))
        with feeding(dsn, options.rate) as committed:
            workers.wait_for(workers.started, seconds=SECONDS)
            time.sleep(WARM_UP_SECONDS)
            began_at = time.time_ns()
            time.sleep(options.seconds)
            ended_at = time.time_ns()
        workers.wait_for(lambda: len(starts.each_start(workers.directory)) == len(committed), seconds=SECONDS, every_seconds=1.0)
        started = starts.each_start(workers.directory)
    waited = [(started[number] - at) / 1e6 for number, at in committed.items() if began_at <= at < ended_at]
    rate = sum(began_at <= at < ended_at for at in started.values()) / (ended_at - began_at) * 1e9
    run.say(f"{condition}: {rate:,.0f} a second, p50 {percentile(waited, 0.5):.1f} ms, p99 {percentile(waited, 0.99):.1f} ms")
    return Steady(rate=rate, p50=percentile(waited, 0.50), p99=percentile(waited, 0.99), longest=max(waited))


def _rate(dsn: str, condition: str, jobs: int) -> float:
    """Starts per second until nine tenths have started."""
    with ExitStack() as stack:
        _run_reports(stack, dsn, condition)
        workers = stack.enter_context(running_workers(jobhub_peer, dsn))
        workers.wait_for(lambda: workers.started() > 0.9 * jobs, seconds=SECONDS, every_seconds=0.05)
        (first_at, first), *_, (last_at, last) = starts.counted(workers.directory)
        return (last - first) / (last_at - first_at) * 1e9


def _run_reports(stack: ExitStack, dsn: str, condition: str) -> None:
    if condition != "alone":
        for _ in range(REPORTS):
            stack.enter_context(_running_report(dsn, condition))


@contextmanager
def _running_report(dsn: str, condition: str) -> Iterator[None]:
    """A report that has taken its snapshot, until the end of the block.

    Raises:
        Unmeasured: it ended before.
    """
    with psycopg.connect(make_conninfo(dsn, user=ROLE), autocommit=True) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute(READ)
        is_over = threading.Event()
        failed: list[Exception] = []
        thread = threading.Thread(target=_report, args=(connection, condition, is_over, failed))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            connection.cancel_safe()
            thread.join()
        if failed:
            raise Unmeasured(f"a report ended: {failed[0]}")


def _report(connection: psycopg.Connection, condition: str, is_over: threading.Event, failed: list[Exception]) -> None:
    try:
        while not is_over.is_set():
            if condition == "computing":
                connection.execute(COMPUTE)
                continue
            if not connection.execute("FETCH 1000 FROM pages").rowcount:
                connection.execute(f"CLOSE pages; {READ}")
            is_over.wait(PAGE_EVERY_SECONDS)
    except psycopg.Error as error:
        if not is_over.is_set():
            failed.append(error)


def _steady_table(options: argparse.Namespace, measured: tuple[dict[str, list[Steady]], list[str]]) -> Table:
    figures, failures = measured
    alone = [one.rate for one in figures.get("alone", [])]
    return Table(
        title=f"{TITLE}: {options.rate:,} jobs a second for {options.seconds:.0f} s, {options.history:,} attempts to report on",
        command=f"python -m bench.reports_beside --rate {options.rate} --seconds {options.seconds:.0f} --history {options.history} --jobs 0",
        note="One worker process, beside three reports as long as that. Milliseconds from a job's commit to its handler's first line."
        + run.failure_note(failures),
        header=["", "starts a second", "p50, ms", "p99, ms", "longest, ms"],
        rows=[
            [condition, f"{one.rate:,.0f}", *(f"{value:,.1f}" for value in (one.p50, one.p99, one.longest))]
            for condition, (one,) in figures.items()
        ],
        goals=[
            goal
            for condition in CONDITIONS[1:]
            for goal in at_least(
                f"starts at {options.rate:,} a second beside three reports, {condition}",
                0.9,
                "alone",
                [one.rate for one in figures.get(condition, [])],
                alone,
            )
        ],
    )


def _table(options: argparse.Namespace, measured: tuple[dict[str, list[float]], list[str]]) -> Table:
    rates, failures = measured
    alone = rates.get("alone", [])
    return Table(
        title=f"{TITLE}: {options.jobs:,} jobs, {options.history:,} attempts to report on",
        command=f"python -m bench.reports_beside --rate 0 --jobs {options.jobs} --history {options.history} --runs {options.runs}",
        note="Jobs a second that one worker process starts, beside three reports at once; × is compared with the rate alone. Reports that "
        "compute take a processor each from the same machine." + run.failure_note(failures),
        header=["", "jobs/s", "×"],
        rows=[[condition, median(rates[condition]), ratio(rates[condition], alone)] for condition in CONDITIONS if condition in rates],
        goals=[
            goal
            for condition in CONDITIONS[1:]
            for goal in at_least(f"drain beside three reports, {condition}", 0.9, "alone", rates.get(condition, []), alone)
        ],
    )


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
