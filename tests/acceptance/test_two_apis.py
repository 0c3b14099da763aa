"""Two API processes beside each other on one database, as behind a load balancer."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.acceptance.service import clean_environ, free_port, wait_for
from tests.factories import KEY, token

BODY = {"job_type": "demo.sleep", "title": "pay the bill", "parameters": {"seconds": 0}}


def start_api(dsn: str, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
    """A `jobhub serve` that answers, and its address."""
    port = free_port()
    environ = clean_environ() | {
        "JOBHUB_DATABASE_URL": dsn,
        "JOBHUB_SECRET_KEY": KEY.decode(),
        "JOBHUB_PORT": str(port),
        "JOBHUB_DEMO": "1",
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-m", "jobhub", "serve"], env=environ, stdout=subprocess.DEVNULL)
    wait_for(lambda: answers(port) or process.poll() is not None, seconds=60)
    assert process.poll() is None
    return process, f"http://127.0.0.1:{port}"


@contextmanager
def api_process(dsn: str, **settings: str) -> Iterator[str]:
    """A `jobhub serve` for the block, and its address."""
    process, url = start_api(dsn, **settings)
    try:
        yield url
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


async def submit_often(urls: list[str], headers: dict[str, str], *, times: int) -> list[httpx.Response]:
    async with httpx.AsyncClient(timeout=60, trust_env=False, headers=headers) as client:
        return await asyncio.gather(*(client.post(f"{urls[n % len(urls)]}/jobs", json=BODY) for n in range(times)))


async def test_fifty_requests_with_one_key_over_two_api_processes_make_one_job(dsn, alice, sql):
    headers = {"Authorization": f"Bearer {token(alice)}", "Idempotency-Key": f"bill-{time.time_ns()}"}
    with api_process(dsn) as first, api_process(dsn) as second:
        responses = await submit_often([first, second], headers, times=50)

    assert sorted(response.status_code for response in responses) == [200] * 49 + [201]
    assert len({response.json()["id"] for response in responses}) == 1
    assert [str(row.id) for row in sql.execute("SELECT id FROM jobs").fetchall()] == [responses[0].json()["id"]]
    assert sql.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)


@pytest.mark.parametrize(
    ("setting", "code"),
    [("JOBHUB_MAX_SUBMITS_PER_MINUTE", "submit_rate_exceeded"), ("JOBHUB_MAX_PENDING_JOBS", "too_many_pending_jobs")],
)
async def test_a_hundred_requests_at_once_over_two_api_processes_never_exceed_a_limit(dsn, alice, sql, setting, code):
    headers = {"Authorization": f"Bearer {token(alice)}"}
    limit = {setting: "37"}
    with api_process(dsn, **limit) as first, api_process(dsn, **limit) as second:
        responses = await submit_often([first, second], headers, times=100)

    refused = [response for response in responses if response.status_code != 201]
    assert len(refused) == 63
    assert {(response.status_code, response.json()["code"]) for response in refused} == {(429, code)}
    assert sql.execute("SELECT count(*) FROM jobs").fetchone() == (37,)
