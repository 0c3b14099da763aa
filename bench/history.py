"""How every read of a long history grows: all calls that read, over HTTP, and all reports, with no job, a million or as many as asked for.

    .venv/bin/python -m bench.history [--rows 0 1000000] [--seconds 2] [--connections 1 8] [--only TEXT …] [--data-dir DIR] [--fill]

The history (bench/history_fill.py) has 1,000 users of very different sizes, 20 job types, mostly completed jobs, tags on some, and one attempt
for each job. Times of requests (bench/history_requests.py) are those of the load generator (bench/load.py) over keep-alive connections; the
server's cache is as the requests before have left it. A request that isn't answered with 200 is named in its row. Reports are those of
sql/reports with their defaults, read to the end by the owner of the tables, three times; once if that takes longer than 10 s.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from bench import history_fill, run
from bench.api import request, running_api, send, token
from bench.goals import Goal
from bench.history_fill import LARGEST, SMALL
from bench.history_requests import REQUESTS, places
from bench.server import Server
from bench.tables import Table, median
from jobhub.store.reporting import Report, list_reports

TITLE = "Reading a long history"
QUICK = {"rows": [0, 200_000], "seconds": 0.3}
GOAL_MS = 50.0
WARM_UP_SECONDS = 0.3
REPORT_RUNS = 3
SLOW_SECONDS = 10.0

Lines = dict[tuple[str, str], dict[int, list[str]]]  # the cells of (request, user), by how many jobs there are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[0, 1_000_000], help="0, or at least 200,000: a tenth of them has to fill 500 pages"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each request is repeated")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="requests and reports whose names have one of these in them"
    )
    run.add_data_dir(parser)


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    requests: Lines = {}
    reports: Lines = {}
    sizes: dict[int, float] = {}
    goals: list[Goal] = []
    for rows in options.rows:
        with history_fill.history(server, rows, options.data_dir) as dsn:
            if options.fill:
                continue
            sizes[rows] = _gigabytes(dsn)
            goals += _ask(dsn, rows, options, requests)
            _report(dsn, rows, options, reports)
    if not options.fill:
        yield _table("Requests", options, sizes, requests, [f"{count} connections" for count in options.connections], goals)
        yield _table("Reports", options, sizes, reports, ["ms"], [])


def _gigabytes(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) / 1e9").fetchone()
    assert row is not None
    return float(row[0])


def _ask(dsn: str, rows: int, options: argparse.Namespace, lines: Lines) -> list[Goal]:
    """Each request that has what it asks for; the goals for a user's own jobs and for statistics."""
    goals = []
    with running_api(dsn) as (_, port):
        tokens = {who: token(dsn, f"{who}@example.org") for who in (SMALL, LARGEST, "admin")}
        there = places(port, tokens) if rows else {}
        for name, who, path in REQUESTS:
            if (not rows and "{" in path) or not _is_wanted(name, options):
                continue
            answers = [_times(port, tokens[who], path.format(**there), count, options.seconds) for count in options.connections]
            lines.setdefault((name, who), {})[rows] = cells = [_cell(answer) for answer in answers]
            run.say(f"{rows:,} {name}, {who}: {', '.join(cells)}")
            if name.startswith(("own", "statistics", "queue-status")) and rows:
                goals.append(_goal(f"{name}, {who} user, {rows:,} jobs", answers[0]["p99"]))
    return goals


def _goal(workload: str, p99: float) -> Goal:
    return Goal(workload=f"{workload}, p99", wanted=f"≤ {GOAL_MS:g} ms", reached=f"{p99:.1f} ms", is_met=p99 <= GOAL_MS)


def _times(port: int, token: str, path: str, connections: int, seconds: float) -> dict[str, Any]:
    asked = request("GET", path, {"Authorization": f"Bearer {token}"})
    send(port, connections, WARM_UP_SECONDS, asked)
    return send(port, connections, seconds, asked)


def _cell(answer: Mapping[str, Any]) -> str:
    others = {status: count for status, count in answer["statuses"].items() if status != "200"}
    return f"{answer['p50']:.1f} / {answer['p99']:.1f}{f' {others}' if others else ''}"


def _report(dsn: str, rows: int, options: argparse.Namespace, lines: Lines) -> None:
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        for name, report in list_reports().items():
            if _is_wanted(f"report {name}", options):
                lines.setdefault((name, "owner"), {})[rows] = [median(list(_runs(connection, report)))]
                run.say(f"{rows:,} {name}: {lines[name, 'owner'][rows][0]}")


def _runs(connection: psycopg.Connection, report: Report) -> Iterator[float]:
    for _ in range(REPORT_RUNS):
        began_at = time.perf_counter()
        connection.execute(report.statement.sql.encode(), report.values({})).fetchall()
        took = time.perf_counter() - began_at
        yield took * 1e3
        if took > SLOW_SECONDS:
            return


def _is_wanted(name: str, options: argparse.Namespace) -> bool:
    return any(text in name for text in options.only)


def _table(
    what: str, options: argparse.Namespace, sizes: Mapping[int, float], lines: Lines, columns: list[str], goals: list[Goal]
) -> Table:
    return Table(
        title=f"{TITLE}: {what.lower()}",
        command=f"python -m bench.history --rows {' '.join(str(rows) for rows in options.rows)} --seconds {options.seconds}",
        note="Milliseconds: p50 / p99 of requests, the median of three runs of a report. The database has "
        + ", ".join(f"{size:.2f} GB with {rows:,} jobs" for rows, size in sizes.items())
        + ".",
        header=[what, "as", *(f"{rows:,} jobs: {column}" for rows in sizes for column in columns)],
        rows=[[*key, *(cell for rows in sizes for cell in cells.get(rows, ["–"] * len(columns)))] for key, cells in lines.items()],
        goals=goals,
    )


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
