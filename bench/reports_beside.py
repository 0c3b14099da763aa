"""Reports must not slow claims: the rate of one worker process alone, and beside three long reports of the role jobhub_report.

    .venv/bin/python -m bench.reports_beside [--jobs 100000] [--history 200000] [--runs 5]

alone      a queue of --jobs, and --history finished ones
reading    three clients read all attempts in a snapshot of their own, a page of 1,000 rows every 0.2 s, as long as the queue lasts: the
           server must keep every dead row version, but has its processors for itself
computing  three reports aggregate all attempts again and again in one snapshot each: they want a processor each

At 8,000 jobs a second, `--jobs 1000000` makes reports of two minutes. The rate is that of handlers' starts, from the first one until nine
tenths have started; the reports had begun before.
"""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bench import history_fill, run, starts
from bench.goals import at_least
from bench.peers import jobhub_peer
from bench.processes import Unmeasured, running_workers
from bench.server import Server
from bench.tables import Table, median, ratio
from jobhub.postgres.reporting_role import ROLE, set_up_reporting_role

TITLE = "Draining beside reports"
CONDITIONS = ("alone", "reading", "computing")
QUICK = {"jobs": 10_000, "history": 20_000}
REPORTS = 3
SECONDS = 600.0
PAGE_EVERY_SECONDS = 0.2
READ = "DECLARE pages CURSOR FOR SELECT * FROM reporting.attempts_v1"
COMPUTE = """
SELECT job_type, outcome, count(*), percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_seconds)
FROM reporting.attempts_v1 GROUP BY job_type, outcome
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--jobs", type=int, default=100_000, help="due jobs")
    parser.add_argument("--history", type=int, default=200_000, help="finished jobs, which the reports read")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    rates: dict[str, list[float]] = {}
    failures: list[str] = []
    template = server.template(f"reports-{options.history}-{options.jobs}", lambda dsn: _build(dsn, options))
    for _ in range(options.runs):
        for condition in options.conditions:
            with run.noting_failure(jobhub_peer, condition, failures), server.database(template) as dsn:
                rates.setdefault(condition, []).append(_rate(dsn, condition, options.jobs))
    yield _table(options, rates, failures)


def _build(dsn: str, options: argparse.Namespace) -> None:
    jobhub_peer.prepare(dsn)
    history_fill.fill(dsn, options.history)
    jobhub_peer.fill(dsn, options.jobs)
    set_up_reporting_role(dsn, may_read_private=False, password=None)


def _rate(dsn: str, condition: str, jobs: int) -> float:
    """Starts per second until nine tenths have started."""
    with ExitStack() as stack:
        if condition != "alone":
            for _ in range(REPORTS):
                stack.enter_context(_running_report(dsn, condition))
        workers = stack.enter_context(running_workers(jobhub_peer, dsn))
        workers.wait_for(lambda: workers.started() > 0.9 * jobs, seconds=SECONDS, every_seconds=0.05)
        (first_at, first), *_, (last_at, last) = starts.counted(workers.directory)
        return (last - first) / (last_at - first_at) * 1e9


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


def _table(options: argparse.Namespace, rates: dict[str, list[float]], failures: list[str]) -> Table:
    alone = rates.get("alone", [])
    return Table(
        title=f"{TITLE}: {options.jobs:,} jobs, {options.history:,} attempts to report on",
        command=f"python -m bench.reports_beside --jobs {options.jobs} --history {options.history} --runs {options.runs}",
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
