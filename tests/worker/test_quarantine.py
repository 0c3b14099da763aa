"""A coroutine whose job has lost a worker runs in a process of its own, and sees no difference."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

import jobhub
from jobhub.domain.users import User
from jobhub.store.database import Database
from jobhub.worker import process_handler
from jobhub.worker.run_job import run_job
from jobhub.worker.running import StopReason
from tests import factories
from tests.worker import attempts, process_handlers, quarantined
from tests.worker.processes import is_alive


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters."""


async def act(
    db: Database, sql: psycopg.Connection, owner: User, name: str, *, handler: Any = quarantined.handler, lost: int = 1, **columns: Any
) -> Any:
    """The row of a job that did that in its next attempt after so many lost ones."""
    parameters = json.dumps({"act": name, "path": columns.pop("path", "")})
    async with asyncio.timeout(30):
        return await attempts.run_new(db, sql, owner, handler, parameters=parameters, attempt=lost, lost_attempts=lost, **columns)


async def test_a_job_that_has_lost_no_worker_runs_in_this_one(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "identify", lost=0)

    assert row.result[4] == os.getpid()


async def test_a_job_that_has_lost_one_runs_elsewhere_with_the_same_context(
    db: Database, sql: psycopg.Connection, alice: User, capfd: pytest.CaptureFixture[str]
) -> None:
    row = await act(db, sql, alice, "identify")

    assert row.result[:4] == [str(row.id), str(alice.id), 2, False]
    assert row.result[4] != os.getpid()
    assert (row.status, row.lost_attempts) == ("completed", 1)
    assert "nobody" in capfd.readouterr().out


@pytest.mark.parametrize(("lost", "status", "code"), [(1, "pending", None), (2, "failed", "worker_lost")])
async def test_the_death_of_its_process_counts_as_that_of_a_worker(
    db: Database, sql: psycopg.Connection, alice: User, lost: int, status: str, code: str | None
) -> None:
    row = await act(db, sql, alice, "die", lost=lost)

    assert (row.status, row.error_code, row.lost_attempts, row.failed_attempts) == (status, code, lost + 1, 0)
    assert row.progress_percentage == 40
    [attempt] = attempts.attempt_rows(sql, row.id)
    assert (attempt.number, attempt.outcome, attempt.error_code) == (lost + 1, "worker_lost", "worker_lost")
    assert "ended with status 7" in attempt.traceback


async def test_a_job_that_dies_when_it_was_asked_to_stop_is_not_started_again(db: Database, sql: psycopg.Connection, alice: User) -> None:
    registry = factories.make_registry(quarantined.handler)
    job_id = factories.make_job(sql, alice, job_type="quarantined.act", parameters='{"act": "die"}', attempt=1, lost_attempts=1)
    running = await attempts.claim(db, sql, registry)
    sql.execute("UPDATE jobs SET cancel_requested_at = now()")

    await run_job(running, registry=registry, db=db)
    await attempts.record(db, running)

    row = factories.job_row(sql, job_id)
    assert (row.status, row.error_code, row.lost_attempts) == ("cancelled", None, 2)


async def test_the_death_of_a_plain_handlers_process_is_its_failure_as_ever(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "leave", handler=process_handlers.handler)

    assert (row.status, row.error_code, row.lost_attempts) == ("failed", "process_died", 1)


@pytest.mark.parametrize(("name", "code"), [("fail", "enough"), ("cancel_itself", "cancelled_internally")])
async def test_a_failure_there_is_a_failure(db: Database, sql: psycopg.Connection, alice: User, name: str, code: str) -> None:
    row = await act(db, sql, alice, name)

    assert (row.status, row.error_code, row.failed_attempts, row.lost_attempts) == ("failed", code, 1, 1)


async def test_a_task_it_leaves_behind_delays_nothing(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "leave_a_task")

    assert row.result == "left"


async def test_its_time_begins_when_it_has_started_and_ends(db: Database, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    row = await act(db, sql, alice, "hold", handler=quarantined.brief, path=str(tmp_path / "told"))

    assert (row.status, row.error_code) == ("failed", "timed_out")
    # It would never have got so far, had its 0.2 s included the start of a process.
    assert (tmp_path / "told").read_text().splitlines()[1:] == ["stopped False"]


async def test_a_process_that_takes_too_long_to_start_is_killed(
    db: Database, sql: psycopg.Connection, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_handler, "START_SECONDS", -0.2)

    row = await act(db, sql, alice, "hold", handler=quarantined.brief)

    assert (row.status, row.error_code) == ("failed", "timed_out")


@pytest.mark.parametrize(
    ("name", "reason", "status"),
    [("hold", StopReason.CANCELLED, "cancelled"), ("hold", StopReason.SHUTDOWN, "pending"), ("hold_on", StopReason.CANCELLED, "cancelled")],
)
async def test_it_is_cancelled_and_killed_if_that_does_not_help(
    db: Database, sql: psycopg.Connection, alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: Any, status: str
) -> None:
    monkeypatch.setattr(process_handler, "KILL_COROUTINE_AFTER_SECONDS", 0.5)
    path = tmp_path / "told"
    registry = factories.make_registry(quarantined.handler)
    parameters = json.dumps({"act": name, "path": str(path)})
    job_id = factories.make_job(sql, alice, job_type="quarantined.act", parameters=parameters, attempt=1, lost_attempts=1)
    running = await attempts.claim(db, sql, registry)
    task = asyncio.create_task(run_job(running, registry=registry, db=db))
    await attempts.until(lambda: path.exists() and path.read_text().endswith("\n"))

    running.stop(reason)
    async with asyncio.timeout(10):
        await task
    await attempts.record(db, running)

    pid, *told = path.read_text().splitlines()
    assert told == [f"stopped {reason is StopReason.CANCELLED}"]
    row = factories.job_row(sql, job_id)
    assert (row.status, row.lost_attempts) == (status, 1)
    await attempts.until(lambda: not is_alive(int(pid)))


async def test_a_handler_no_child_can_find_runs_in_the_worker_all_the_same(db: Database, sql: psycopg.Connection, alice: User) -> None:
    @jobhub.job_type("test.inner")
    async def inner(ctx: jobhub.JobContext, params: Nothing) -> int:
        return os.getpid()

    row = await attempts.run_new(db, sql, alice, inner, attempt=1, lost_attempts=1)

    assert row.result == os.getpid()


async def test_a_daemon_that_holds_our_pipes_open_delays_nothing(db: Database, sql: psycopg.Connection, alice: User) -> None:
    started_at = time.monotonic()

    row = await act(db, sql, alice, "die_leaving_a_daemon", handler=process_handlers.handler, lost=0)

    assert (row.status, row.error_code) == ("failed", "process_died")
    assert time.monotonic() - started_at < 20  # the daemon lives 60 s
