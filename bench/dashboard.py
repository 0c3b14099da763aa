"""The pages under /ui: how long the server takes for each, when Chromium first paints them, and what two hundred open ones cost the API.

    .venv/bin/python -m bench.dashboard [--parts server paint open] [--rows 0 1000000] [--seconds 2] [--data-dir DIR] [--runs 5]

`server` and `paint` are measured on the histories of `bench.history`, which `--data-dir` keeps; the audit log has a hundredth as many
entries. `server` is the time of the load generator over one keep-alive connection, `paint` first-contentful-paint of the system's Chromium
with nothing in its cache. `open` is the rate of `POST /jobs` (16 connections) of one API process: with no page open, with `--pages` open
pages of people who don't submit, and with those of the very people who submit (bench/viewers.py), in turn.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from bench import history_fill, open_pages, paints, run
from bench.api import request, running_api, send, sign_in
from bench.goals import Goal
from bench.history_fill import LARGEST, SMALL
from bench.server import Server
from bench.tables import Table

TITLE = "The pages"
QUICK = {"rows": [0, 200_000], "seconds": 0.3, "submit_seconds": 2.0, "pages": 50}
GOAL_MS = 100.0
WARM_UP_SECONDS = 0.3
ADMIN = "admin"

# (name, who asks, path); what stands in braces is filled in (_places)
PAGES = [
    ("my jobs", SMALL, "/ui/jobs"),
    ("my jobs", LARGEST, "/ui/jobs"),
    ("my jobs, page 50", LARGEST, "/ui/jobs?page=50"),
    *(
        (f"my jobs, {status}", LARGEST, f"/ui/jobs?status={status}")
        for status in ("pending", "running", "completed", "failed", "cancelled")
    ),
    ("my jobs, type:", LARGEST, "/ui/jobs?q=type:bench.type3"),
    ("my jobs, tag: and failed", LARGEST, "/ui/jobs?q=tag:nightly&status=failed"),
    ("my jobs, a word", LARGEST, "/ui/jobs?q=Report"),
    ("my jobs, a rare word", LARGEST, "/ui/jobs?q=needle"),
    ("a job", LARGEST, "/ui/jobs/{job}"),
    ("new job", SMALL, "/ui/new"),
    ("new job, a form", SMALL, "/ui/new?type=http.request"),
    *((f"overview, {window}", ADMIN, f"/ui/admin?window={window}") for window in ("1h", "24h", "7d", "30d", "all")),
    ("all jobs", ADMIN, "/ui/admin/jobs"),
    ("all jobs, failed", ADMIN, "/ui/admin/jobs?status=failed"),
    ("all jobs, completed", ADMIN, "/ui/admin/jobs?status=completed"),
    ("all jobs, owner: and type:", ADMIN, f"/ui/admin/jobs?q=owner:{LARGEST}@example.org+type:bench.type3"),
    ("failures", ADMIN, "/ui/admin/failures"),
    ("workers", ADMIN, "/ui/admin/workers"),
    ("job types", ADMIN, "/ui/admin/job-types"),
    ("users", ADMIN, "/ui/admin/users"),
    ("users, page 10", ADMIN, "/ui/admin/users?page=10"),
    ("clean-up", ADMIN, "/ui/admin/clean-up"),
    ("clean-up, preview", ADMIN, "/ui/admin/clean-up?days_old=7"),
    ("audit log", ADMIN, "/ui/admin/audit-log"),
    ("audit log, further down", ADMIN, "/ui/admin/audit-log?before=1000"),
]
PAINTED = [
    ("my jobs", LARGEST, "/ui/jobs"),
    ("a job", LARGEST, "/ui/jobs/{job}"),
    ("overview", ADMIN, "/ui/admin"),
    ("all jobs", ADMIN, "/ui/admin/jobs"),
]

# What was done to jobs by hand: mostly retries, some with a reason.
_AUDIT = """
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details, at)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n %% 1001), 12, '0'))::uuid,
        CASE n %% 10 WHEN 0 THEN 'cancel' ELSE 'retry' END,
        ('01900000-0000-7000-8000-' || lpad(to_hex(n * 100), 12, '0'))::uuid, CASE n %% 5 WHEN 0 THEN 'The printer was on fire.' END,
        gen_random_uuid()::text, '{"from": "failed"}', now() - (%(entries)s - n) * interval '30 days' / %(entries)s
    FROM generate_series(1, %(entries)s::integer) AS n
    WHERE NOT EXISTS (SELECT FROM audit_log)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=("server", "paint", "open"), default=["server", "paint", "open"])
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1_000_000], help="0, or at least 200,000")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each page is asked for again and again")
    parser.add_argument("--only", metavar="WORDS", default="", help="only pages with this in their name")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="keep the filled databases there, and use those that were kept")
    open_pages.add_arguments(parser)


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    for rows in options.rows if {"server", "paint"} & set(options.parts) else []:
        with history_fill.history(server, rows, options.data_dir) as dsn:
            yield from _of_history(dsn, rows, options)
    if "open" in options.parts:
        yield open_pages.table(server, options)


def _of_history(dsn: str, rows: int, options: argparse.Namespace) -> Iterator[Table]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_AUDIT, {"entries": max(1, rows // 100)})
        connection.execute("ANALYZE audit_log")
        cookies = {who: sign_in(connection, f"{who}@example.org") for who in (SMALL, LARGEST, ADMIN)}
        places = _places(connection) if rows else {}
    with running_api(dsn) as (_, port):
        if "server" in options.parts:
            yield _server_times(port, rows, cookies, places, options)
        if "paint" in options.parts and rows:
            wanted = [(name, f"http://127.0.0.1:{port}{path.format(**places)}", cookies[who]) for name, who, path in PAINTED]
            yield paints.table(wanted, rows, options)


def _server_times(port: int, rows: int, cookies: dict[str, str], places: dict[str, str], options: argparse.Namespace) -> Table:
    lines, goals = [], []
    for name, who, path in PAGES:
        if options.only not in name or (not rows and "{" in path):
            continue
        asked = request("GET", path.format(**places), {"Cookie": cookies[who]})
        send(port, 1, WARM_UP_SECONDS, asked)
        answer = send(port, 1, options.seconds, asked)
        others = {status: count for status, count in answer["statuses"].items() if status != "200"}
        lines.append([name, who, f"{answer['p50']:.1f}", f"{answer['p99']:.1f}{f' {others}' if others else ''}"])
        run.say(f"{rows:,} {' '.join(lines[-1])}")
        is_met = answer["p99"] <= GOAL_MS and not others
        goals.append(
            Goal(workload=f"{name}, {rows:,} jobs, p99", wanted=f"≤ {GOAL_MS:g} ms", reached=f"{answer['p99']:.1f} ms", is_met=is_met)
        )
    return Table(
        title=f"{TITLE}: time of the server, {rows:,} jobs",
        command=f"python -m bench.dashboard --parts server --rows {rows} --seconds {options.seconds}",
        note="Milliseconds until the whole answer, one connection.",
        header=["page", "user", "p50, ms", "p99, ms"],
        rows=lines,
        goals=goals,
    )


def _places(connection: psycopg.Connection) -> dict[str, str]:
    """A job in the middle of the largest user's history."""
    row = connection.execute(
        "SELECT jobs.id::text FROM jobs INNER JOIN users ON users.id = owner_id WHERE email = %s ORDER BY jobs.created_at DESC OFFSET 9900 LIMIT 1",
        [f"{LARGEST}@example.org"],
    ).fetchone()
    assert row is not None
    return {"job": row[0]}


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
