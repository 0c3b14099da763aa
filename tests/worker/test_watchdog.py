"""An event loop that a handler blocks: the log says so, and the neighbours get what they are due, late but right."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from jobhub.domain.jobs import ClaimedJob
from jobhub.domain.users import User
from jobhub.worker import watchdog
from jobhub.worker.running import RunningJobs
from jobhub.worker.watchdog import LoopWatchdog
from tests import factories
from tests.worker import attempts
from tests.worker.processes import attempts as attempts_of
from tests.worker.processes import make_file_job, wait_for_lines, wait_for_status, worker_process


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "KNOCK_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "BLOCKED_SECONDS", 0.3)


def running_jobs(*job_types: str) -> RunningJobs:
    running = RunningJobs()
    for job_type in job_types:
        claimed = {"id": factories.new_id(), "owner_id": factories.new_id(), "parameters": {}}
        numbers = dict.fromkeys(("attempt", "failed_attempts", "lost_attempts", "max_attempts"), 1)
        running.add(ClaimedJob(job_type=job_type, **claimed, **numbers))
    return running


def block_until(look: Any) -> None:
    """Keep the loop from running, until the other thread has done something."""
    deadline = time.monotonic() + 20
    while not look() and time.monotonic() < deadline:
        time.sleep(0.01)


async def test_each_block_is_reported_once_while_it_lasts() -> None:
    with structlog.testing.capture_logs() as entries, LoopWatchdog(running_jobs("a.slow", "a.slow", "a.quick")):
        for turn in (1, 2):
            block_until(lambda turn=turn: len(entries) == 2 * turn - 1)
            await attempts.until(lambda turn=turn: len(entries) == 2 * turn)

    assert [entry["event"] for entry in entries] == ["event_loop_blocked", "event_loop_free_again"] * 2
    assert entries[0]["job_types"] == {"a.slow": 2, "a.quick": 1}
    assert any("block_until" in place for place in entries[0]["where"])


async def test_a_loop_that_runs_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_SECONDS", 30)
    with structlog.testing.capture_logs() as entries, LoopWatchdog(running_jobs()) as dog:
        knocks = 0
        call = dog._call

        def count(answer: Any) -> bool:
            nonlocal knocks
            knocks += 1
            return call(answer)

        dog._call = count  # type: ignore[method-assign]
        await attempts.until(lambda: knocks > 5)

    assert entries == []


async def test_it_ends_with_its_block() -> None:
    with LoopWatchdog(running_jobs()) as dog:
        assert dog._thread.is_alive()

    await asyncio.to_thread(dog._thread.join, 10)
    assert dog._thread not in threading.enumerate()


def test_neighbours_of_a_handler_that_blocks_keep_their_lease_and_get_their_due(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    held, cancelled, blocked = tmp_path / "held", tmp_path / "cancelled", tmp_path / "blocked"
    first, second = make_file_job(sql, alice, "work.hold", held), make_file_job(sql, alice, "work.hold", cancelled)
    third = factories.make_job(sql, alice, job_type="work.brief", parameters="{}")
    with worker_process(dsn, tmp_path) as worker:
        wait_for_lines(held)
        wait_for_lines(cancelled)
        factories.make_job(sql, alice, job_type="work.block_and_tell", parameters=json.dumps({"path": str(blocked)}))
        wait_for_lines(blocked)

        sql.execute("UPDATE jobs SET cancel_requested_at = now() WHERE id = %s", [second])
        # Longer than a lease without its thread, at the pace of this test: nobody may take the jobs meanwhile.
        lease = sql.execute("SELECT min(lease_until - now()) > interval '8 s' AS is_long FROM workers").fetchone()
        (tmp_path / "blocked.go").touch()
        (tmp_path / "held.go").touch()

        assert lease.is_long
        assert wait_for_status(sql, first, "completed").attempt == 1
        assert wait_for_status(sql, second, "cancelled").attempt == 1
        assert wait_for_status(sql, third, "failed").error_code == "timed_out"
        log = worker.log
    assert [attempts_of(sql, job) for job in (first, second, third)] == [[(1, "completed")], [(1, "cancelled")], [(1, "failed")]]
    entries = [json.loads(line) for line in log.splitlines() if "event_loop_" in line]
    assert [entry["event"] for entry in entries][:2] == ["event_loop_blocked", "event_loop_free_again"]
    assert entries[0]["job_types"] == {"work.hold": 2, "work.brief": 1, "work.block_and_tell": 1}
    assert any("block_and_tell" in place for place in entries[0]["where"])
