"""The job type `report.query`: refused when submitted if it can't run, read-only when it does, and fit for a spreadsheet."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobhub.domain.job_types import Registry
from jobhub.domain.users import User
from jobhub.handlers import report_query
from jobhub.store import reporting
from jobhub.store.database import Database
from tests import factories
from tests.worker import attempts

HANDLER = report_query.report_query


@pytest.fixture(scope="module")
def registry() -> Registry:
    return factories.make_registry(HANDLER)


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dsn: str) -> Path:
    """A folder for reports of the test's own."""
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(reporting, "sql_directory", lambda: tmp_path)
    monkeypatch.setenv("JOBHUB_DATABASE_URL", dsn)
    return tmp_path / "reports"


async def run(db: Database, sql: psycopg.Connection, admin: User, **parameters: Any) -> Any:
    """The job's row after it has run the report `it`."""
    return await attempts.run_new(db, sql, admin, HANDLER, parameters=json.dumps({"report": "it"} | parameters))


async def test_rows_come_with_their_columns_and_as_json(db: Database, sql: psycopg.Connection, admin: User, reports: Path) -> None:
    (reports / "it.sql").write_text(
        "-- All kinds.\nSELECT 1 AS n, 1.25 AS numeric, 10::numeric AS whole, 'NaN'::numeric AS nan, 'Infinity'::float8 AS inf,"
        " NULL AS nothing, true AS yes, ARRAY[1.5, 2] AS list, '{\"a\": 1}'::jsonb AS object, '10.0.0.1'::inet AS address,"
        " date '2026-11-23' AS day, interval '90 s' AS span, int4range(1, 3) AS range;"
    )

    row = await run(db, sql, admin)

    assert row.status == "completed", row.error_message
    assert row.result["columns"][:3] == ["n", "numeric", "whole"]
    [found] = row.result["rows"]
    assert found[:9] == [1, 1.25, 10, "NaN", "inf", None, True, [1.5, 2], {"a": 1}]
    assert (found[9], found[10]) == ("10.0.0.1", "2026-11-23")
    assert (row.result["title"], row.result["row_count"], row.result["is_truncated"]) == ("All kinds.", 1, False)


async def test_a_report_without_rows_still_has_columns(db: Database, sql: psycopg.Connection, admin: User, reports: Path) -> None:
    (reports / "it.sql").write_text("-- None.\nSELECT 1 AS n WHERE false")

    row = await run(db, sql, admin)

    assert (row.result["columns"], row.result["rows"]) == (["n"], [])


@pytest.mark.parametrize("dangerous", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
async def test_csv_holds_no_formula(db: Database, sql: psycopg.Connection, admin: User, reports: Path, dangerous: str) -> None:
    (reports / "it.sql").write_text("-- Text.\n-- param: text text = x\nSELECT :text::text AS text, -1 AS number")

    row = await run(db, sql, admin, format="csv", parameters={"text": dangerous})

    header, cells = csv.reader(io.StringIO(row.result["csv"], newline=""))
    assert header == ["text", "number"]
    assert cells == ["'" + dangerous, "-1"]
    assert "rows" not in row.result


async def test_a_parameter_is_bound_and_never_run(db: Database, sql: psycopg.Connection, admin: User, reports: Path) -> None:
    (reports / "it.sql").write_text("-- Echo.\n-- param: text text = x\nSELECT :text::text AS text")
    hostile = "'; DROP TABLE jobs; --"

    row = await run(db, sql, admin, parameters={"text": hostile})

    assert row.result["rows"] == [[hostile]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"report": "nothing"}, "/parameters/report"),
        ({"report": "../queries/jobs"}, "/parameters/report"),
        ({"report": ""}, "/parameters/report"),
        ({"report": "it", "parameters": {"count": "1; DROP TABLE jobs"}}, "/parameters/parameters"),
        ({"report": "it", "parameters": {"count": 2**31}}, "/parameters/parameters"),
        ({"report": "it", "parameters": {"since": "2026-11-23T10:00:00"}}, "/parameters/parameters"),
        ({"report": "it", "parameters": {"what": 1}}, "/parameters/parameters"),
        ({"report": "it", "format": "xlsx"}, "/parameters/format"),
        ({"report": "it", "max_rows": 10_001}, "/parameters/max_rows"),
        ({"report": "it", "timeout_seconds": 0}, "/parameters/timeout_seconds"),
        ({}, "/parameters/report"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
async def test_what_can_not_run_is_refused_when_it_is_submitted(
    api: factories.Api, admin: User, reports: Path, body: dict[str, Any], pointer: str
) -> None:
    declared = "-- It.\n-- param: count integer = 1\n-- param: since timestamptz = 2000-01-01T00:00:00Z\n"
    (reports / "it.sql").write_text(declared + "SELECT :count::integer, :since::timestamptz")

    response = await api.call(admin, "POST", "/jobs", {"job_type": "report.query", "title": "a report", "parameters": body})

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_no_more_rows_are_kept_than_asked_for(db: Database, sql: psycopg.Connection, admin: User, reports: Path) -> None:
    (reports / "it.sql").write_text("-- Many.\nSELECT n FROM generate_series(1, 100000) AS n")

    row = await run(db, sql, admin, max_rows=501)

    assert (row.result["row_count"], row.result["is_truncated"], row.result["rows"][-1]) == (501, True, [501])
    connections = "SELECT FROM pg_stat_activity WHERE application_name = 'jobhub report' AND datname = current_database()"
    await attempts.until(lambda: not sql.execute(connections).rowcount)


async def test_exactly_as_many_rows_as_asked_for_are_not_truncated(
    db: Database, sql: psycopg.Connection, admin: User, reports: Path
) -> None:
    (reports / "it.sql").write_text("-- Ten.\nSELECT n FROM generate_series(1, 10) AS n")

    row = await run(db, sql, admin, max_rows=10)

    assert (row.result["row_count"], row.result["is_truncated"]) == (10, False)


@pytest.mark.parametrize("timeout_seconds", [0.3, 0.0001], ids=["0.3 s", "less than a millisecond"])
async def test_a_slow_report_is_stopped(db: Database, sql: psycopg.Connection, admin: User, reports: Path, timeout_seconds: float) -> None:
    (reports / "it.sql").write_text("-- Slow.\nSELECT pg_sleep(10)")

    row = await run(db, sql, admin, timeout_seconds=timeout_seconds)

    assert (row.status, row.error_code) == ("failed", "report_failed")
    assert "took longer" in row.error_message


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM jobs", "CREATE TABLE t ()", "DELETE FROM jobs RETURNING id", "SELECT 1; DELETE FROM jobs"],
)
async def test_a_report_that_writes_fails(db: Database, sql: psycopg.Connection, admin: User, reports: Path, statement: str) -> None:
    (reports / "it.sql").write_text(f"-- Bad.\n{statement}")

    row = await run(db, sql, admin)

    assert (row.status, row.error_code) == ("failed", "report_failed")


async def test_users_may_not_submit_it(api: factories.Api, alice: User, reports: Path) -> None:
    (reports / "it.sql").write_text("-- It.\nSELECT 1")

    response = await api.call(alice, "POST", "/jobs", {"job_type": "report.query", "title": "a report", "parameters": {"report": "it"}})

    assert response.status_code == 403
