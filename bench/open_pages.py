"""What open pages cost the API: the rate of `POST /jobs` with and without them. Not here: how a page is kept open (`bench.viewers`)."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import psycopg

from bench import run
from bench.api import START_SECONDS, request, running_api, send, sign_in, tokens
from bench.goals import at_least
from bench.peers import jobhub_peer
from bench.processes import Unmeasured, cpu_seconds
from bench.server import Server
from bench.tables import Table, median, ratio

CONNECTIONS = 16
WARM_UP_SECONDS = 1.0
JOBS_OF_EACH = 60  # more than a page shows
BODY = json.dumps({"job_type": "bench.nothing", "title": "Measure", "parameters": {"n": 1}}).encode()
NOBODY, OTHERS, THEY = "no page open", "open, of people who don't submit", "open, of those who submit"

# Half as many again as have pages open: the rest submits where those don't. All are administrators where they have such a page open.
_USERS = """
    INSERT INTO users (id, email, password_hash, role)
    SELECT gen_random_uuid(), 'user' || n || '@example.org', '$argon2id$no-password-fits',
        CASE WHEN n <= %(administrators)s THEN 'admin' ELSE 'user' END::user_role
    FROM generate_series(1, %(users)s::integer) AS n
"""
_JOBS = """
    INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, status, due_at, attempt, created_at, updated_at, started_at,
        completed_at, worker_id, progress_percentage, version)
    SELECT gen_random_uuid(), users.id, 'bench.nothing', 'default', 'Report ' || n, '{"n": 1}', 'completed', at, 1, at, at, at,
        at + interval '1 s', gen_random_uuid(), 100, 3
    FROM users CROSS JOIN generate_series(1, %(jobs)s::integer) AS n CROSS JOIN LATERAL (SELECT now() - n * interval '1 hour' AS at) AS its
"""


class Rate(msgspec.Struct, frozen=True):
    """One run."""

    submits_per_second: float
    p99: float
    api_us: float  # of CPU, of all the API did, per submit
    pages_per_second: float
    events_per_second: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pages", type=int, default=200, help="open pages: four fifths my jobs, a tenth overview, a tenth all jobs")
    parser.add_argument("--submit-seconds", type=float, default=8.0)


def table(server: Server, options: argparse.Namespace) -> Table:
    """Each case once, then each again."""

    def build(dsn: str) -> None:
        _fill(dsn, options.pages)

    template = server.template("jobhub-viewers", build)
    rates: dict[str, list[Rate]] = {NOBODY: [], OTHERS: [], THEY: []}
    for _ in range(options.runs):
        for case, measured in rates.items():
            with server.database(template) as dsn:
                measured.append(_measure(dsn, case, options))
            run.say(f"{case}: {measured[-1]}")
    return _table(rates, options)


def _fill(dsn: str, pages: int) -> None:
    jobhub_peer.prepare(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_USERS, {"users": pages * 3 // 2, "administrators": pages // 5})
        connection.execute(_JOBS, {"jobs": JOBS_OF_EACH})
        connection.execute("SELECT count_history_into_stats()")


def _measure(dsn: str, case: str, options: argparse.Namespace) -> Rate:
    emails = [f"user{n}@example.org" for n in range(1, options.pages * 3 // 2 + 1)]
    viewers, others = emails[: options.pages], emails[options.pages :]
    submitters = viewers[options.pages // 5 :] if case == THEY else others
    with running_api(dsn) as (process, port):
        with psycopg.connect(dsn) as connection:
            bearers = tokens(connection, submitters)
        submits = [request("POST", "/jobs", {"Authorization": f"Bearer {bearer}"}, BODY) for bearer in bearers]
        with _open(dsn, port, viewers if case != NOBODY else []) as seen:
            send(port, CONNECTIONS, WARM_UP_SECONDS, *submits)
            cpu = cpu_seconds(process.pid)
            answer = send(port, CONNECTIONS, options.submit_seconds, *submits)
            cpu = cpu_seconds(process.pid) - cpu
    accepted = answer["statuses"].get("201", 0)
    if answer["statuses"] != {"201": accepted} or seen.get("lost"):
        raise Unmeasured(f"{case}: {answer['statuses']}, {seen.get('lost', 0)} streams lost")
    lasted = answer["seconds"] + WARM_UP_SECONDS
    return Rate(
        accepted / answer["seconds"], answer["p99"], cpu / accepted * 1e6, seen.get("pages", 0) / lasted, seen.get("events", 0) / lasted
    )


@contextmanager
def _open(dsn: str, port: int, viewers: Sequence[str]) -> Iterator[dict[str, int]]:
    """Their pages, open in the block; afterwards what they saw."""
    seen: dict[str, int] = {}
    if not viewers:
        yield seen
        return
    with psycopg.connect(dsn, autocommit=True) as connection:
        cookies = [sign_in(connection, email) for email in viewers]
    tenth = len(viewers) // 10
    paths = ["/ui/admin"] * tenth + ["/ui/admin/jobs"] * tenth + ["/ui/jobs"] * (len(viewers) - 2 * tenth)
    pages = [{"path": path, "cookie": cookie} for path, cookie in zip(paths, cookies, strict=True)]
    command = [sys.executable, "-m", "bench.viewers", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(pages) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "ready\n":
                raise Unmeasured("the pages could not be opened")
            yield seen
            said = process.communicate("", timeout=START_SECONDS)[0]
            if process.returncode:
                raise Unmeasured("a page that was open was refused")
            seen |= json.loads(said)
        finally:
            process.kill()


def _table(rates: dict[str, list[Rate]], options: argparse.Namespace) -> Table:
    submits = {case: [one.submits_per_second for one in measured] for case, measured in rates.items()}
    return Table(
        title=f"The pages: submits a second beside {options.pages} open ones",
        command=f"python -m bench.dashboard --parts open --pages {options.pages} --submit-seconds {options.submit_seconds} --runs {options.runs}",
        note=f"`POST /jobs` over {CONNECTIONS} connections, one API process; people's pages and the load generator are two Python processes on "
        "the same cores. CPU is all the API used, per submit, in µs; pages are those the open ones asked for to show what is new.",
        header=["", "submits/s", "× no page open", "p99, ms", "API CPU", "pages/s", "events/s"],
        rows=[
            [
                case,
                median(submits[case]),
                ratio(submits[case], submits[NOBODY]),
                median([one.p99 for one in measured], 1),
                median([one.api_us for one in measured]),
                median([one.pages_per_second for one in measured], 1),
                median([one.events_per_second for one in measured], 1),
            ]
            for case, measured in rates.items()
        ],
        goals=[
            goal
            for case in (OTHERS, THEY)
            for goal in at_least(f"`POST /jobs`, {options.pages} pages {case}", 0.9, "the rate without", submits[case], submits[NOBODY])
        ],
    )
