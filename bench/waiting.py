"""From a change to the answer of who waits for it, with thousands who wait: `GET /jobs/{id}?wait=60` with `If-None-Match`.

    .venv/bin/python -m bench.waiting [--waiters 2000] [--changes 200] [--runs 5]

One API process, as many jobs as waiters, one connection each. One job after the other is changed by SQL, at random moments; the clock runs
from the answer to its COMMIT to the last byte of the HTTP answer, and whoever was answered waits again. Memory is the API's resident
memory before the first waiter came and with all of them; CPU is the API's while nothing changes.
"""

import argparse
import asyncio
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec
import uvloop

from bench import run
from bench.api import EMAIL, prepare, running_api, token
from bench.goals import at_most
from bench.processes import Unmeasured, cpu_seconds, resident_mib
from bench.server import Server
from bench.tables import Table, median, percentile

TITLE = "Waiting for a change"
QUICK = {"waiters": 200, "changes": 20}
ANSWER_SECONDS = 20.0
IDLE_SECONDS = 3.0
AT_ONCE = 50  # connections made at the same time: more than the backlog of the listening socket would be refused
_ETAG = re.compile(rb'etag: *("\d+")', re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_JOBS = """
    INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, deliver_at)
    SELECT gen_random_uuid(), users.id, 'bench.nothing', 'default', 'Wait', '{}', 'infinity', 'infinity'
    FROM users, generate_series(1, $2) WHERE users.email = $1
    RETURNING id::text
"""


class Waits(msgspec.Struct, frozen=True):
    """One run."""

    seconds: list[float]
    more_mib: float
    idle_share: float


class Waiter(asyncio.Protocol):
    """One connection that asks for one job, again as soon as it was answered."""

    def __init__(self, path: str, access_token: str) -> None:
        self._head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {access_token}\r\n".encode()
        self._received = b""
        self.answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]  # what TCP has
        self._transport = transport
        self._ask(b'"0"')  # no version: it is answered at once

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        etag = _ETAG.search(head)
        if not head.startswith(b"HTTP/1.1 200") or etag is None:
            self.answer.set_exception(Unmeasured(head.decode()))
            return
        self._received = b""
        self.answer.set_result(time.perf_counter())
        self.answer = asyncio.get_running_loop().create_future()
        self._ask(etag[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(Unmeasured("a waiter's connection was lost"))

    def _ask(self, etag: bytes) -> None:
        self._transport.write(b"%bIf-None-Match: %b\r\n\r\n" % (self._head, etag))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--waiters", type=int, default=2_000)
    parser.add_argument("--changes", type=int, default=200)


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    measured = []
    for _ in range(options.runs):
        with server.database(server.template("jobhub-user", prepare)) as dsn, running_api(dsn) as (process, port):
            measured.append(uvloop.run(_measure(dsn, process, port, options)))
    yield Table(
        title=f"{TITLE}: {options.waiters:,} wait",
        command=f"python -m bench.waiting --waiters {options.waiters} --changes {options.changes} --runs {options.runs}",
        note="Milliseconds from the COMMIT of a change to the whole answer: percentiles of a run, then median and spread of the runs. Memory "
        "and CPU are those of the API process, the client has the same cores.",
        header=["p50, ms", "p99, ms", "memory of all who wait, MiB", "CPU while nothing changes, % of a core"],
        rows=[
            [
                *(median([percentile(one.seconds, share) * 1e3 for one in measured], 1) for share in (0.50, 0.99)),
                median([one.more_mib for one in measured]),
                median([one.idle_share * 100 for one in measured]),
            ]
        ],
        goals=[
            *at_most(
                f"a change is known, {options.waiters:,} wait, p99", 50, "ms", [percentile(one.seconds, 0.99) * 1e3 for one in measured]
            ),
            *at_most(f"memory of {options.waiters:,} who wait", 150, "MiB", [one.more_mib for one in measured]),
        ],
    )


async def _measure(dsn: str, process: subprocess.Popen[bytes], port: int, options: argparse.Namespace) -> Waits:
    connection = await asyncpg.connect(dsn)
    try:
        job_ids = [row["id"] for row in await connection.fetch(_JOBS, EMAIL, options.waiters)]
        await connection.execute("ANALYZE jobs")
        before = resident_mib(process.pid)
        waiters = await _waiters(port, job_ids, token(dsn))
        cpu = cpu_seconds(process.pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle_share = (cpu_seconds(process.pid) - cpu) / IDLE_SECONDS
        seconds = [await _change(connection, job_id, waiters[job_id]) for job_id in random.choices(job_ids, k=options.changes)]
        return Waits(seconds, resident_mib(process.pid) - before, idle_share)
    finally:
        await connection.close()


async def _waiters(port: int, job_ids: list[str], access_token: str) -> dict[str, Waiter]:
    loop = asyncio.get_running_loop()
    waiters: dict[str, Waiter] = {}
    for start in range(0, len(job_ids), AT_ONCE):
        some = {job_id: Waiter(f"/jobs/{job_id}?wait=60", access_token) for job_id in job_ids[start : start + AT_ONCE]}
        answers = [one.answer for one in some.values()]
        await asyncio.gather(*(loop.create_connection(lambda one=one: one, "127.0.0.1", port) for one in some.values()))
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*answers)
        waiters |= some
    return waiters


async def _change(connection: asyncpg.Connection, job_id: str, waiter: Waiter) -> float:
    await asyncio.sleep(random.uniform(0.03, 0.09))
    answer = waiter.answer
    await connection.execute("UPDATE jobs SET version = version + 1, updated_at = now() WHERE id = $1::uuid", job_id)
    changed_at = time.perf_counter()
    async with asyncio.timeout(ANSWER_SECONDS):
        return await answer - changed_at


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
