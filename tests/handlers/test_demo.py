"""The job types to try jobhub with, and that they are there only when asked for."""

import json
from typing import Any

import psycopg
import pytest

from jobhub.domain.errors import InvalidInput
from jobhub.domain.users import User
from jobhub.domain.validation import convert
from jobhub.handlers import demo
from jobhub.store.database import Database
from tests.worker import attempts


async def run(db: Database, sql: psycopg.Connection, alice: User, handler: Any, **parameters: Any) -> Any:
    return await attempts.run_new(db, sql, alice, handler, parameters=json.dumps(parameters))


async def test_sleep_tells_how_long_it_slept(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await run(db, sql, alice, demo.sleep, seconds=0.01)

    assert row.result == {"slept_seconds": 0.01, "attempt": 1}


async def test_steps_reports_each_step(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await run(db, sql, alice, demo.steps, steps=3, seconds_per_step=0)

    assert row.result == {"steps": 3}
    assert row.progress_message == "Step 3 of 3"


async def test_fail_fails_as_it_was_told(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await run(db, sql, alice, demo.fail, message="Out of paper", code="out_of_paper")

    assert (row.status, row.error_message, row.error_code) == ("failed", "Out of paper", "out_of_paper")


async def test_crash_takes_only_its_own_process_with_it(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await run(db, sql, alice, demo.crash, exit_status=7)

    assert (row.status, row.error_code) == ("failed", "process_died")
    assert "status 7" in row.error_message


@pytest.mark.parametrize(
    ("into", "parameters", "pointer"),
    [
        (demo.Sleep, {"seconds": -1}, "/seconds"),
        (demo.Sleep, {"seconds": 3601}, "/seconds"),
        (demo.Steps, {"steps": 0}, "/steps"),
        (demo.Steps, {"seconds_per_step": 61}, "/seconds_per_step"),
        (demo.Fail, {"code": "Not A Code"}, "/code"),
        (demo.Fail, {"message": ""}, "/message"),
        (demo.Crash, {"exit_status": 256}, "/exit_status"),
        (demo.Crash, {"signal": 9}, "/signal"),
    ],
)
def test_what_makes_no_sense_is_refused(into: Any, parameters: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        convert(parameters, into)

    assert [error.pointer for error in refused.value.errors] == [pointer]
