"""Plain `def` handlers run in a process of their own: what it can do to the worker is nothing, what the worker can do to it is kill it."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobhub.domain.users import User
from jobhub.store.database import Database
from jobhub.worker import process_handler
from jobhub.worker.run_job import run_job
from jobhub.worker.running import StopReason
from tests import factories
from tests.worker import attempts, process_handlers
from tests.worker.processes import is_alive


@pytest.fixture(autouse=True)
def quick_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_handler, "KILL_AFTER_SECONDS", 0.3)


async def act(db: Database, sql: psycopg.Connection, alice: User, name: str, *, handler: Any = process_handlers.handler) -> Any:
    """The row of a job that did that, once it has ended."""
    async with asyncio.timeout(15):
        return await attempts.run_new(db, sql, alice, handler, parameters=json.dumps({"act": name}))


async def test_it_knows_its_job_and_runs_elsewhere(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "identify")

    assert row.result[:4] == [str(row.id), str(alice.id), 1, False]
    assert row.result[4] != os.getpid()


async def test_its_progress_and_its_failure_are_recorded(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "report_progress")

    assert (row.progress_percentage, row.progress_message) == (42, "nul \ufffd")
    assert (row.status, row.error_code, row.error_message) == ("failed", "enough", "enough")


async def test_its_exception_shows_the_class_and_keeps_the_traceback_it_had_there(
    db: Database, sql: psycopg.Connection, alice: User
) -> None:
    row = await act(db, sql, alice, "raise_value_error")

    assert (row.error_code, row.error_message) == ("handler_error", "The handler raised ValueError.")
    traceback = attempts.attempt_rows(sql, row.id)[0].traceback
    assert "a secret" in traceback
    assert "raise_value_error" in traceback


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("leave", "process_died", "ended with status 3"),
        ("leave_with_0", "process_died", "ended with status 0"),
        ("kill_itself", "process_died", "was killed by signal 9"),
        ("kill_itself_strangely", "process_died", "was killed by signal 37"),
        ("die_leaving_a_child", "process_died", "ended with status 4"),
        ("sys_exit", "handler_error", "raised SystemExit"),
        ("take_all_memory", "memory_limit_exceeded", "more than the 400 MB"),
        ("too_much", "result_not_serialisable", "9000002 bytes"),
        ("no_json", "result_not_serialisable", "no JSON"),
        ("strange_failure", "\ufffd", "'size'"),
    ],
)
async def test_each_of_its_bad_ends_is_told_apart(
    db: Database, sql: psycopg.Connection, alice: User, name: str, code: str, words: str
) -> None:
    row = await act(db, sql, alice, name)

    assert (row.status, row.error_code) == ("failed", code)
    assert words in row.error_message


async def test_a_result_of_several_megabytes_arrives(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "much")

    assert row.result == "é" * 3_000_000


async def test_a_thread_it_leaves_behind_delays_nothing(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "leave_a_thread")

    assert row.result == "done"


async def test_a_program_it_leaves_behind_is_killed_after_a_success_too(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "leave_a_child")

    await attempts.until(lambda: not is_alive(row.result))


async def test_a_program_it_starts_finds_its_standard_input_empty(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await act(db, sql, alice, "read_stdin_in_a_child")

    assert row.result == ""


@pytest.mark.parametrize(("reason", "status"), [(StopReason.CANCELLED, "cancelled"), (StopReason.SHUTDOWN, "pending")])
async def test_a_stop_is_announced_and_then_kills_it_and_all_it_started(
    db: Database, sql: psycopg.Connection, alice: User, tmp_path: Path, reason: StopReason, status: str
) -> None:
    path = tmp_path / "told"
    registry = factories.make_registry(process_handlers.handler)
    job_id = factories.make_job(sql, alice, job_type="process.act", parameters=json.dumps({"act": "hold", "path": str(path)}))
    running = await attempts.claim(db, sql, registry)
    task = asyncio.create_task(run_job(running, registry=registry, db=db))
    await attempts.until(lambda: path.exists() and path.read_text().endswith("\n"))
    pids = [int(pid) for pid in path.read_text().split()]

    running.stop(reason)
    async with asyncio.timeout(10):
        await task
    await attempts.record(db, running)

    assert path.read_text().splitlines()[1:] == ["told to stop"]
    assert factories.job_row(sql, job_id).status == status
    await attempts.until(lambda: not any(is_alive(pid) for pid in pids))


async def test_a_timeout_kills_it_and_all_it_started(db: Database, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "told"
    parameters = json.dumps({"act": "hold", "path": str(path)})

    row = await attempts.run_new(db, sql, alice, process_handlers.brief, parameters=parameters)

    assert (row.status, row.error_code) == ("failed", "timed_out")
    pids = [int(pid) for pid in path.read_text().splitlines()[0].split()]
    await attempts.until(lambda: not any(is_alive(pid) for pid in pids))


async def test_a_stop_at_the_very_start_ends_it_too(db: Database, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    """The word may come with the order, or before the process has read anything."""
    registry = factories.make_registry(process_handlers.handler)
    parameters = json.dumps({"act": "hold", "path": str(tmp_path / "told")})
    job_id = factories.make_job(sql, alice, job_type="process.act", parameters=parameters)
    running = await attempts.claim(db, sql, registry)
    task = asyncio.create_task(run_job(running, registry=registry, db=db))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    running.stop(StopReason.CANCELLED)
    async with asyncio.timeout(10):
        await task
    await attempts.record(db, running)

    assert factories.job_row(sql, job_id).status == "cancelled"


async def test_a_process_that_can_not_be_started_fails_the_attempt(
    db: Database, sql: psycopg.Connection, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_handler.sys, "executable", "/nowhere/python")

    row = await act(db, sql, alice, "identify")

    assert (row.status, row.error_code) == ("failed", "process_not_started")


async def test_nothing_stays_open_after_it(db: Database, sql: psycopg.Connection, alice: User) -> None:
    await act(db, sql, alice, "identify")
    before = open_files()

    for name in ("identify", "leave", "raise_value_error"):
        await act(db, sql, alice, name)

    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
