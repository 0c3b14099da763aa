"""How long statistics take over HTTP, of a history counted in the rollups, on an idle system and while jobs finish.

    .venv/bin/python -m bench.rollups [--counted 10000000] [--rate 1000] [--seconds 3] [--connections 1 8] [--watched 30]

The rollups are those of as many jobs of 20 types over thirty days, the last hours of them at 1,000 a second, with waiting and processing times
between milliseconds and an hour: changes as statements write them, folded as workers fold them. The jobs themselves aren't there, since
statistics don't read them (tests/contract/test_plans.py); `bench.history` has them. Beside it one worker process works off `--rate` jobs a
second, which become due some at a time, and folds what it counts. Connections that ask again as soon as they are answered show what a process
can bear, and take a core from the worker on a small machine; one that pauses between shows what people who watch see.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg

from bench import run
from bench.api import EMAIL, START_SECONDS, prepare, request, running_api, send, token
from bench.feeding import feeding
from bench.goals import Goal
from bench.peers import jobhub_peer
from bench.processes import Unmeasured, running_workers
from bench.server import Server
from bench.tables import Table
from jobhub.store.statements import statements

TITLE = "Statistics of a long history"
QUICK = {"counted": 500_000, "seconds": 0.5, "watched": 0.5}
GOAL_MS = 50.0
WARM_UP_SECONDS = 0.5
SETTLE_SECONDS = 5.0
PAUSE_SECONDS = 0.1  # 150 open overviews ask about as often
TYPES = 20
BUSY_RATE = 1000  # a second, in the hours before now
DAYS = 30
CASES = [*(f"statistics?window={window}" for window in ("1h", "24h", "7d", "30d", "all")), "queue-status"]

# One change for each type and span: what a batch of that many attempts would have written.
_COUNT = """
    INSERT INTO job_stat_changes (at, job_type, status, jobs, outcome, attempts, waiting_microseconds, processing_microseconds,
        waiting_buckets, processing_buckets)
    SELECT now() - (span + 0.5) * %(length)s::interval, 'bench.type' || type, 'completed', %(each)s::integer, 'completed', %(each)s::integer,
        (sum(waited) * 1e6)::bigint, (sum(ran) * 1e6)::bigint, array_agg(stat_bucket(waited)), array_agg(stat_bucket(ran))
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS span
    CROSS JOIN generate_series(1, %(types)s::integer) AS type
    CROSS JOIN generate_series(1, %(each)s::integer) AS nth
    CROSS JOIN LATERAL (
        SELECT sqrt(-2 * ln(1 - random())) AS radius, 2 * pi() * random() AS angle WHERE nth > 0
    ) AS drawn
    CROSS JOIN LATERAL (
        SELECT exp(-3 + 2 * radius * cos(angle)) AS waited, exp(type / 4.0 - 3 + radius * sin(angle)) AS ran
    ) AS times
    GROUP BY span, type
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counted", type=int, default=10_000_000, help="jobs in the rollups")
    parser.add_argument("--rate", type=int, default=1000, help="jobs that finish in a second meanwhile")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each request is repeated")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--watched", type=float, default=30.0, help="how long each request is repeated with pauses")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    with server.database(server.template("jobhub-account", prepare)) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            began_at = time.monotonic()
            connection.execute("UPDATE users SET role = 'admin'")
            size = _fill(connection, options.counted)
            run.say(f"{options.counted:,} counted and folded in {time.monotonic() - began_at:.0f} s: {size}")
        figures: dict[tuple[str, str], list[dict[str, Any]]] = {}
        with running_api(dsn) as (_, port):
            bearer = token(dsn, EMAIL)
            _measure(dsn, port, bearer, options, "idle", figures)
            with running_workers(jobhub_peer, dsn) as workers, feeding(dsn, options.rate):
                workers.wait_for(workers.started, seconds=START_SECONDS)
                time.sleep(SETTLE_SECONDS)
                _analyze(dsn)
                _measure(dsn, port, bearer, options, "busy", figures)
        yield _table(options, size, figures)


def _fill(connection: psycopg.Connection, jobs: int) -> str:
    """The last minutes at full rate, as many as half of all jobs fill; the others by the hour. How large the tables are then."""
    per_minute = BUSY_RATE * 60 // TYPES
    minutes = max(1, jobs // 2 // (per_minute * TYPES))
    hours = DAYS * 24
    for first in range(0, minutes, 10):
        last = min(minutes, first + 10) - 1
        _count(connection, length=timedelta(minutes=1), first=first, last=last, each=per_minute)
    for first in range(minutes // 60 + 1, hours, 24):
        _count(connection, length=timedelta(hours=1), first=first, last=first + 23, each=max(1, jobs // 2 // (hours * TYPES)))
    connection.execute("VACUUM ANALYZE")
    found = connection.execute(
        "SELECT pg_size_pretty(sum(pg_total_relation_size(oid))) FROM pg_class WHERE relname IN ('job_stats', 'job_time_stats')"
    ).fetchone()
    assert found is not None
    return str(found[0])


def _analyze(dsn: str) -> None:
    """As autovacuum has done where there is a history. A session that planned while a table was vacuumed and empty goes on reading all of it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _count(connection: psycopg.Connection, **spans: Any) -> None:
    connection.execute(_COUNT, {**spans, "types": TYPES})
    while connection.execute(statements()["fold_job_stats"].sql.encode()).fetchone() != (0,):
        pass


def _measure(
    dsn: str, port: int, bearer: str, options: argparse.Namespace, state: str, figures: dict[tuple[str, str], list[dict[str, Any]]]
) -> None:
    """With pauses first, then over so many connections."""
    ways = [(1, options.watched, PAUSE_SECONDS), *((connections, options.seconds, 0.0) for connections in options.connections)]
    for connections, seconds, pause in ways:
        for case in CASES:
            _wait_until_caught_up(dsn, options.rate)
            answer = _times(port, bearer, case, connections, seconds, pause)
            run.say(f"{state} {case}, {connections} connections{', with pauses' if pause else ''}: {_cell(answer)}")
            figures.setdefault((state, case), []).append(answer)


def _wait_until_caught_up(dsn: str, rate: int) -> None:
    """Requests over many connections hold the worker up, which works off what is late as fast as it can."""
    deadline = time.monotonic() + START_SECONDS
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute("SELECT count(*) <= %s FROM procrastinate_jobs", [rate / 10]).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise Unmeasured(f"the worker did not get through {rate} jobs a second")
            time.sleep(0.1)


def _times(port: int, bearer: str, case: str, connections: int, seconds: float, pause: float) -> dict[str, Any]:
    asked = request("GET", f"/jobs/admin/{case}", {"Authorization": f"Bearer {bearer}"})
    send(port, connections, WARM_UP_SECONDS, asked)
    return send(port, connections, seconds, asked, pause=pause)


def _cell(answer: dict[str, Any]) -> str:
    others = {status: count for status, count in answer["statuses"].items() if status != "200"}
    return f"{answer['p50']:.1f} / {answer['p99']:.1f}{f' {others}' if others else ''}"


def _table(options: argparse.Namespace, size: str, figures: dict[tuple[str, str], list[dict[str, Any]]]) -> Table:
    ways = ["with pauses", *(f"{count} connections" for count in options.connections)]
    return Table(
        title=f"{TITLE}: {options.counted:,} jobs of {TYPES} types",
        command=f"python -m bench.rollups --counted {options.counted} --rate {options.rate} --seconds {options.seconds:g}",
        note=f"Milliseconds, p50 / p99. The rollups take {size}.",
        header=["request", *(f"{state}, {way}" for state in ("nothing else", f"{options.rate:,} jobs/s") for way in ways)],
        rows=[[case, *(_cell(answer) for state in ("idle", "busy") for answer in figures[state, case])] for case in CASES],
        goals=[
            Goal(
                workload=f"{case} with pauses beside {options.rate:,} jobs/s, p99",
                wanted=f"≤ {GOAL_MS:g} ms",
                reached=f"{p99:.1f} ms",
                is_met=p99 <= GOAL_MS,
            )
            for case in CASES
            for p99 in [figures["busy", case][0]["p99"]]
        ],
    )


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
