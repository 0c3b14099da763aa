"""What handlers may do to themselves, beside neighbours, in a real worker: it harms nobody else, and is told apart."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from jobhub.domain.users import User
from tests import factories
from tests.worker.processes import WorkerProcess, wait_for, worker_process, worker_rows

HANDLERS = "tests.worker.handlers,tests.worker.harm_handlers"
COMPLETED = ("completed", None)
PROCESS_DIED = ("failed", "process_died")
HANDLER_ERROR = ("failed", "handler_error")
NO_RESULT = ("failed", "result_not_serialisable")

IN_A_PROCESS = {
    "exit_at_once": PROCESS_DIED,
    "crash": PROCESS_DIED,
    "kill_itself": PROCESS_DIED,
    "sys_exit": HANDLER_ERROR,
    "block": COMPLETED,
    "close_all_files": PROCESS_DIED,
    "close_all_files_leaving_a_thread": PROCESS_DIED,
    "write_to_all_files": PROCESS_DIED,
    "leave_a_thread": COMPLETED,
    "leave_a_program": COMPLETED,
    "leave_a_daemon": COMPLETED,
    "leave_a_daemon_that_prints": COMPLETED,
    "die_leaving_a_daemon": PROCESS_DIED,
    "fork_and_return_twice": COMPLETED,
    "change_the_process": COMPLETED,
    "return_50_megabytes": NO_RESULT,
    "return_no_json": NO_RESULT,
    "return_nan": NO_RESULT,
    "return_a_bottomless_list": NO_RESULT,
    "raise_50_megabytes": HANDLER_ERROR,
    "fail_with_50_megabytes": ("failed", "x" * 30 + "\n… 49999940 characters left out …\n" + "x" * 30),
    "fail_with_what_can_not_be_stored": ("failed", "odd"),
    "raise_the_unprintable": HANDLER_ERROR,
    "fail_unprintably": ("failed", "unprintable"),
    "raise_what_is_no_exception": HANDLER_ERROR,
    "interrupt": HANDLER_ERROR,
    "recurse": HANDLER_ERROR,
    "print_50_megabytes": COMPLETED,
    "read_standard_input": COMPLETED,
    "eat_memory": ("failed", "memory_limit_exceeded"),
    "report_without_end": COMPLETED,
}
ON_THE_LOOP = {
    "sys_exit": HANDLER_ERROR,
    "block": COMPLETED,
    "fork_and_return_twice": COMPLETED,
    "fork_and_go_on": COMPLETED,
    "use_multiprocessing": COMPLETED,
    "return_50_megabytes": NO_RESULT,
    "return_no_json": NO_RESULT,
    "return_nan": NO_RESULT,
    "return_a_bottomless_list": NO_RESULT,
    "raise_50_megabytes": HANDLER_ERROR,
    "fail_with_50_megabytes": IN_A_PROCESS["fail_with_50_megabytes"],
    "fail_with_what_can_not_be_stored": ("failed", "odd"),
    "raise_the_unprintable": HANDLER_ERROR,
    "fail_unprintably": ("failed", "unprintable"),
    "raise_what_is_no_exception": HANDLER_ERROR,
    "interrupt": HANDLER_ERROR,
    "recurse": HANDLER_ERROR,
    "leave_a_thread": COMPLETED,
    "report_without_end_on_the_loop": COMPLETED,
}


def make_jobs(sql: psycopg.Connection, owner: User, job_type: str, acts: Any, path: Path) -> dict[str, UUID]:
    """Each with a neighbour before it, so that they run side by side."""
    (path.parent / f"{path.name}.go").touch()
    parameters = json.dumps({"act": "", "path": str(path)})
    made = {}
    for act in acts:
        factories.make_job(sql, owner, job_type="harm.neighbour", parameters=parameters)
        made[act] = factories.make_job(sql, owner, job_type=job_type, parameters=json.dumps({"act": act}))
    return made


def wait_until_all_have_finished(sql: psycopg.Connection, worker: WorkerProcess) -> None:
    def look() -> bool:
        assert worker.process.poll() is None, "the worker died"
        return sql.execute("SELECT NOT EXISTS (SELECT FROM jobs WHERE status IN ('pending', 'running')) AS all").fetchone().all

    wait_for(look, seconds=90)


def ends(sql: psycopg.Connection, made: dict[str, UUID]) -> dict[str, tuple[str, str | None]]:
    rows = {act: factories.job_row(sql, job_id) for act, job_id in made.items()}
    return {act: (row.status, row.error_code) for act, row in rows.items()}


def assert_neighbours_are_well(sql: psycopg.Connection) -> None:
    rows = sql.execute("SELECT DISTINCT status, attempt, result FROM jobs WHERE job_type = 'harm.neighbour'").fetchall()
    assert [(row.status, row.attempt, row.result) for row in rows] == [("completed", 1, "well")]


def test_whatever_a_handler_does_in_its_process_harms_nobody_else(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    made = make_jobs(sql, alice, "harm.process", IN_A_PROCESS, tmp_path / "neighbours")

    with worker_process(dsn, tmp_path, JOBHUB_HANDLERS=HANDLERS, JOBHUB_CONCURRENCY="4") as worker:
        wait_until_all_have_finished(sql, worker)

        assert ends(sql, made) == IN_A_PROCESS
        assert_neighbours_are_well(sql)
        assert [row.pid for row in worker_rows(sql)] == [worker.pid]
    results = {act: factories.job_row(sql, made[act]).result for act in ("read_standard_input", "fork_and_return_twice")}
    # Both the original and its copy return; the first word counts, whosever it is.
    assert results["fork_and_return_twice"] in ("original", "copy")
    assert results | {"fork_and_return_twice": ""} == {"read_standard_input": "", "fork_and_return_twice": ""}
    row = factories.job_row(sql, made["report_without_end"])
    assert (row.progress_percentage, row.progress_message) == (100, "Number 199999")
    assert len(worker.log) < 2_000_000
    assert "the last words" in worker.log


def test_what_a_coroutine_raises_and_returns_harms_nobody_else(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    made = make_jobs(sql, alice, "harm.coroutine", ON_THE_LOOP, tmp_path / "neighbours")

    with worker_process(dsn, tmp_path, JOBHUB_HANDLERS=HANDLERS, JOBHUB_CONCURRENCY="4") as worker:
        wait_until_all_have_finished(sql, worker)

        assert ends(sql, made) == ON_THE_LOOP
        assert_neighbours_are_well(sql)
        assert [row.pid for row in worker_rows(sql)] == [worker.pid]
    results = {act: factories.job_row(sql, made[act]).result for act in ("fork_and_return_twice", "fork_and_go_on", "use_multiprocessing")}
    assert results == {"fork_and_return_twice": "original", "fork_and_go_on": "70", "use_multiprocessing": 0}
