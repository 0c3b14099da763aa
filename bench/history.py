"""How long pages of a long history take over HTTP: `jobhub serve` on a database with a million finished jobs, or as many as asked for.

    .venv/bin/python -m bench.history [--rows 0 1000000] [--seconds 2] [--connections 1 8] [--data-dir DIR]

The history (bench/history_fill.py) has 1,000 users of very different sizes, 20 job types, mostly completed jobs, tags on some, and one attempt
for each job. Times are those of the load generator (bench/load.py) over keep-alive connections; the server's cache is as the requests
before have left it. A request that isn't answered with 200 is named in its row.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench import history_fill, run
from bench.api import request, running_api, send, token
from bench.goals import Goal
from bench.history_fill import LARGEST, SMALL
from bench.peers import jobhub_peer
from bench.server import Server
from bench.tables import Table

TITLE = "Pages of a long history"
QUICK = {"rows": [0, 200_000], "seconds": 0.3}
GOAL_MS = 50.0
WARM_UP_SECONDS = 0.3

# (name, who asks, path); what stands in braces is filled in (_places)
REQUESTS = [
    ("own, first page", SMALL, "/jobs"),
    ("own, first page", LARGEST, "/jobs"),
    ("own, page 50", LARGEST, "/jobs?page=50"),
    ("own, page 500", LARGEST, "/jobs?page=500"),
    ("own, deep cursor", LARGEST, "/jobs?cursor={cursor}"),
    ("own, status=completed", LARGEST, "/jobs?status=completed"),
    ("own, status=failed", LARGEST, "/jobs?status=failed"),
    ("own, status=cancelled (rare)", LARGEST, "/jobs?status=cancelled"),
    ("own, status=running (none)", LARGEST, "/jobs?status=running"),
    ("own, job_type", LARGEST, "/jobs?job_type=bench.type3"),
    ("own, a frequent tag", LARGEST, "/jobs?tag=nightly"),
    ("own, a rare tag", LARGEST, "/jobs?tag=rare"),
    ("own, two tags", LARGEST, "/jobs?tag=nightly&tag=team7"),
    ("own, job_type and status=failed", LARGEST, "/jobs?job_type=bench.type3&status=failed"),
    ("own, a tag and status=failed", LARGEST, "/jobs?tag=nightly&status=failed"),
    ("own, created_after and before", LARGEST, "/jobs?created_after={after}&created_before={before}"),
    ("one job", LARGEST, "/jobs/{job}"),
    ("its attempts", LARGEST, "/jobs/{job}/attempts"),
    ("admin, plain", "admin", "/jobs/admin/all"),
    ("admin, owner", "admin", "/jobs/admin/all?owner={owner}"),
    ("admin, q=", "admin", "/jobs/admin/all?q=Report"),
    ("admin, q= (rare)", "admin", "/jobs/admin/all?q=needle"),
    ("admin, q= (rare), of a day", "admin", "/jobs/admin/all?q=needle&created_after={after}&created_before={day_later}"),
    ("admin, worker", "admin", "/jobs/admin/all?worker={worker}"),
    ("admin, status=failed", "admin", "/jobs/admin/all?status=failed"),
    ("admin, job_type", "admin", "/jobs/admin/all?job_type=bench.type3"),
    ("admin, a frequent tag", "admin", "/jobs/admin/all?tag=nightly"),
    ("statistics, 24h", "admin", "/jobs/admin/statistics?window=24h"),
    ("queue-status", "admin", "/jobs/admin/queue-status"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[0, 1_000_000], help="0, or at least 200,000: a tenth of them has to fill 500 pages"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each request is repeated")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="keep the filled databases there, and use those that were kept")


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    empty = server.template("jobhub-empty", jobhub_peer.prepare)
    for rows in options.rows:
        if options.data_dir:
            with server.kept(f"history of {rows}", empty, partial(history_fill.fill, rows=rows)) as dsn:
                jobhub_peer.prepare(dsn)  # it may have been made by an older version
                yield _table(dsn, rows, options)
        else:
            with server.database(empty) as dsn:
                history_fill.fill(dsn, rows)
                yield _table(dsn, rows, options)


def _table(dsn: str, rows: int, options: argparse.Namespace) -> Table:
    with psycopg.connect(dsn, autocommit=True) as connection:
        size = connection.execute("SELECT pg_database_size(current_database()) / 1e9").fetchone()
    assert size is not None
    lines, goals = [], []
    with running_api(dsn) as (_, port):
        tokens = {who: token(dsn, f"{who}@example.org") for who in (SMALL, LARGEST, "admin")}
        places = _places(port, tokens) if rows else {}
        for name, who, path in REQUESTS:
            if not rows and "{" in path:
                continue
            answers = [_times(port, tokens[who], path.format(**places), count, options.seconds) for count in options.connections]
            lines.append([name, who, *(_cells(answer) for answer in answers)])
            run.say(f"{rows:,} {' '.join(lines[-1])}")
            if name.startswith("own") and rows:
                p99 = answers[0]["p99"]
                goals.append(
                    Goal(
                        workload=f"{name}, {who} user, {rows:,} jobs, p99", wanted="≤ 50 ms", reached=f"{p99:.1f} ms", is_met=p99 <= GOAL_MS
                    )
                )
    return Table(
        title=f"{TITLE}: {rows:,} jobs",
        command=f"python -m bench.history --rows {rows} --seconds {options.seconds}",
        note=f"Milliseconds, p50 / p99. The database has {float(size[0]):.1f} GB.",
        header=["request", "user", *(f"{count} connections" for count in options.connections)],
        rows=lines,
        goals=goals,
    )


def _times(port: int, token: str, path: str, connections: int, seconds: float) -> dict[str, Any]:
    asked = request("GET", path, {"Authorization": f"Bearer {token}"})
    send(port, connections, WARM_UP_SECONDS, asked)
    return send(port, connections, seconds, asked)


def _cells(answer: dict[str, Any]) -> str:
    others = {status: count for status, count in answer["statuses"].items() if status != "200"}
    return f"{answer['p50']:.1f} / {answer['p99']:.1f}{f' {others}' if others else ''}"


def _places(port: int, tokens: dict[str, str]) -> dict[str, str]:
    """What stands in the middle of the largest user's history."""
    page = _get(port, tokens[LARGEST], "/jobs?per_page=100&page=100")
    job = page["jobs"][0]
    first = _get(port, tokens[LARGEST], "/jobs?per_page=1")["jobs"][0]
    day_later = datetime.fromisoformat(job["created_at"]) + timedelta(days=1)
    return {
        "day_later": day_later.isoformat().replace("+00:00", "Z"),
        "worker": _get(port, tokens["admin"], "/jobs/admin/all?per_page=1")["jobs"][0]["worker"],
        "cursor": _get(port, tokens[LARGEST], "/jobs?page=500")["next_cursor"],
        "job": job["id"],
        "after": job["created_at"],
        "before": first["created_at"],
        "owner": f"{LARGEST}@example.org",
    }


def _get(port: int, token: str, path: str) -> dict[str, Any]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
        return found


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
