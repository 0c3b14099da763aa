"""docs/examples/import_csv.py, run by workers, one of which is killed in the middle."""

import re
import signal

from docs.examples import import_csv
from tests import factories
from tests.worker.processes import wait_for, wait_for_status, worker_process

LINES = 20_000


def make_tables(sql) -> None:
    for statement in re.findall(r"CREATE TABLE .*?;", import_csv.__doc__, re.DOTALL):
        sql.execute(statement)


def environ(dsn, tmp_path) -> dict[str, str]:
    return {"JOBHUB_HANDLERS": "docs.examples.import_csv", "IMPORTS_DIR": str(tmp_path), "CONTACTS_DATABASE_URL": dsn}


def import_job(sql, alice, file: str):
    return factories.make_job(sql, alice, job_type="contacts.import", max_attempts=3, parameters=f'{{"file": "{file}"}}')


def test_an_import_goes_on_where_a_killed_worker_left_off(dsn, sql, alice, tmp_path):
    make_tables(sql)
    rows = ("x,nobody" if n % 1000 == 0 else f"u{n}@example.org,User {n}" for n in range(LINES))
    (tmp_path / "list.csv").write_text("email,name\n" + "\n".join(rows) + "\n")
    job_id = import_job(sql, alice, "list.csv")

    with worker_process(dsn, tmp_path, **environ(dsn, tmp_path)) as killed:
        wait_for(lambda: sql.execute("SELECT lines_done FROM imports WHERE lines_done > 0").fetchone())
        killed.signal(signal.SIGKILL)
        killed.wait()
    before = sql.execute("SELECT lines_done FROM imports").fetchone().lines_done
    sql.execute("UPDATE workers SET lease_until = now()")  # what passes by itself, 15 s later
    with worker_process(dsn, tmp_path, **environ(dsn, tmp_path)):
        row = wait_for_status(sql, job_id, "completed", seconds=60)

    assert 0 < before < LINES
    assert row.result == {"lines": LINES, "skipped": LINES // 1000, "resumed_at": before}
    assert sql.execute("SELECT count(*) AS contacts FROM contacts").fetchone().contacts == LINES - LINES // 1000


def test_a_file_without_the_columns_is_said_in_words(dsn, sql, alice, tmp_path):
    make_tables(sql)
    (tmp_path / "wrong.csv").write_text("mail\nx@example.org\n")
    wrong, missing = import_job(sql, alice, "wrong.csv"), import_job(sql, alice, "missing.csv")

    with worker_process(dsn, tmp_path, **environ(dsn, tmp_path)):
        rows = [wait_for_status(sql, job_id, "failed") for job_id in (wrong, missing)]

    assert [row.error_code for row in rows] == ["wrong_columns", "no_such_file"]
