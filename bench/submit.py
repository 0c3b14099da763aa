"""Submits a second over HTTP, each durable before its 201: `jobhub serve` beside a bare Litestar handler with one hand-written statement.

    .venv/bin/python -m bench.submit [--connections 16 64] [--seconds 4] [--runs 5]

One API process, one load generator (bench/load.py), no worker. Each run begins with an empty database, counts its rows at the end, and
ends the measurement if one answer was no 201 or the rows are not as many as the answers. The bare handler (bench/bare_api.py) knows no
accounts, no rules and no idempotency keys. *With a key* each submit has an Idempotency-Key of its own; *limits* count what the user, the same
for all submits, has pending and has submitted within a minute, and are never reached.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import psycopg

from bench import run
from bench.api import environ, listening, prepare, request, running_api, send, token
from bench.goals import Goal, at_least
from bench.processes import Unmeasured, cpu_seconds
from bench.server import Server
from bench.tables import Table, median, ratio

TITLE = "Submits over HTTP"
QUICK = {"seconds": 2.0}
WARM_UP_SECONDS = 0.5
BODY = json.dumps({"job_type": "bench.nothing", "title": "Measure", "parameters": {"n": 1}}).encode()
NAMES = {"jobhub": "jobhub serve", "keys": "with a key", "limits": "with a key and limits", "bare": "bare handler"}
OUT_OF_REACH = 1_000_000


class Load(msgspec.Struct, frozen=True):
    """One run of the load generator."""

    requests_per_second: float
    p50: float
    p99: float
    api_us: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--seconds", type=float, default=4.0)


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    loads: dict[tuple[int, str], list[Load]] = {}
    for _ in range(options.runs):
        for connections in options.connections:
            for api in NAMES:
                loads.setdefault((connections, api), []).append(measure(server, api, connections, options.seconds))
    yield Table(
        title=TITLE,
        command=f"python -m bench.submit --connections {' '.join(map(str, options.connections))} --seconds {options.seconds}"
        f" --runs {options.runs}",
        note="Requests a second of one API process, milliseconds until the answer, and µs of CPU of the API process per request. "
        "The load generator is a Python process on the same cores.",
        header=["", "connections", "requests/s", "× the bare handler", "p50, ms", "p99, ms", "API CPU"],
        rows=[_row(connections, api, loads) for connections in options.connections for api in NAMES],
        goals=[goal for connections in options.connections for goal in _goals(connections, loads)],
    )


def measure(server: Server, api: str, connections: int, seconds: float) -> Load:
    """One API process on an empty database under load for a time."""
    template = server.template("jobhub-user", prepare)
    with server.database(template) as dsn, _running(api, dsn) as (process, port):
        keys = {"Idempotency-Key": "{key}"} if api in {"keys", "limits"} else {}
        submit = request("POST", "/jobs", {"Authorization": f"Bearer {token(dsn)}", **keys}, BODY)
        send(port, connections, WARM_UP_SECONDS, submit)
        before, cpu = _rows(dsn), cpu_seconds(process.pid)
        answer = send(port, connections, seconds, submit)
        cpu = cpu_seconds(process.pid) - cpu
        accepted = answer["statuses"].get("201", 0)
        if answer["statuses"] != {"201": accepted} or _rows(dsn) - before != accepted:
            raise Unmeasured(f"{api}: {answer['statuses']}, {_rows(dsn) - before} rows")
        return Load(accepted / answer["seconds"], answer["p50"], answer["p99"], cpu / accepted * 1e6)


def _running(api: str, dsn: str) -> AbstractContextManager[tuple[subprocess.Popen[bytes], int]]:
    if api == "bare":
        return listening(["-m", "bench.bare_api", dsn, "{port}"], environ(dsn))
    return running_api(dsn, limit=OUT_OF_REACH if api == "limits" else 0)


def _rows(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM jobs INNER JOIN procrastinate_jobs ON procrastinate_jobs.id = jobs.delivery_id"
        ).fetchone()
        assert row is not None
        return int(row[0])


def _goals(connections: int, loads: dict[tuple[int, str], list[Load]]) -> list[Goal]:
    ours, bare = ([load.requests_per_second for load in loads[connections, api]] for api in ("jobhub", "bare"))
    return at_least(f"`POST /jobs`, {connections} connections", 1.5, "the bare handler", ours, bare)


def _row(connections: int, api: str, loads: dict[tuple[int, str], list[Load]]) -> list[str]:
    def values(name: str, field: str) -> list[float]:
        return [getattr(load, field) for load in loads[connections, name]]

    return [
        NAMES[api],
        str(connections),
        median(values(api, "requests_per_second")),
        ratio(values(api, "requests_per_second"), values("bare", "requests_per_second")),
        median(values(api, "p50"), 1),
        median(values(api, "p99"), 1),
        median(values(api, "api_us")),
    ]


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
