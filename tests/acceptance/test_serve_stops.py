"""SIGTERM while clients wait and listen: they are told, and the process ends by itself."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.acceptance.service import wait_for
from tests.acceptance.test_two_apis import start_api
from tests.factories import make_job, token
from tests.web.test_waiting import has_looked


def test_streams_and_waits_end_politely_and_so_does_the_process(dsn, alice, sql):
    job_id = make_job(sql, alice, status="running")
    process, url = start_api(dsn)
    headers = {"Authorization": f"Bearer {token(alice)}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client, ThreadPoolExecutor() as threads:
            waiting = threads.submit(client.get, f"/jobs/{job_id}?wait=60")
            with client.stream("GET", "/jobs/events") as stream:
                lines = stream.iter_lines()
                assert "event: job" in (next(lines) for _ in range(5))
                wait_for(lambda: has_looked(sql), seconds=20)
                os.kill(process.pid, signal.SIGTERM)

                rest = list(lines)  # cut off, this would raise
            answer = waiting.result()
    finally:
        process.terminate()
        status = process.wait(timeout=30)

    assert status == 0
    assert ": the server is about to stop, come again" in rest
    assert (answer.status_code, answer.json()["status"]) == (200, "running")
