"""The job type `report.query`: run a named report of sql/reports/ and keep its rows as the result.

For administrators, because a report sees everybody's jobs. Not here: what a report is (`store.reporting`).
"""

import csv
import io
import math
import os
from contextlib import aclosing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

import jobhub
from jobhub.store.reporting import ReportFailed, list_reports, run_report

MAX_ROWS = 10_000


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parameters` are the report's own; those left out have the defaults its file declares."""

    report: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    parameters: dict[str, str | int | float | bool] = {}
    format: Literal["rows", "csv"] = "rows"
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 1000
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 60.0

    def __post_init__(self) -> None:
        reports = list_reports()
        if self.report not in reports:
            raise jobhub.InvalidParameter("report", f"there is no report {self.report!r}; there are {', '.join(reports)}")
        try:
            reports[self.report].values(self.parameters)
        except ValueError as error:
            raise jobhub.InvalidParameter("parameters", str(error)) from None


@jobhub.job_type("report.query", audience="admin", timeout_seconds=330)
async def report_query(ctx: jobhub.JobContext, params: ReportQuery) -> dict[str, Any]:
    """Run a named SQL report read-only and return its rows, or CSV."""
    report = list_reports()[params.report]
    rows: list[list[Any]] = []
    columns: list[str] = []
    await ctx.progress(1, report.title)
    try:
        async with aclosing(run_report(_database_url(), report, params.parameters, timeout_seconds=params.timeout_seconds)) as batches:
            async for columns, batch in batches:  # noqa: B007 - the names are used after the last batch
                rows += ([_plain(value) for value in row] for row in batch)
                await ctx.progress(min(99, 100 * len(rows) // params.max_rows), f"{len(rows)} rows read")
                if len(rows) > params.max_rows:
                    break
    except ReportFailed as error:
        raise jobhub.JobFailed(str(error), code="report_failed") from error
    is_truncated, rows = len(rows) > params.max_rows, rows[: params.max_rows]
    found = {"report": report.name, "title": report.title, "columns": columns, "row_count": len(rows), "is_truncated": is_truncated}
    return found | ({"csv": _csv(columns, rows)} if params.format == "csv" else {"rows": rows})


def _database_url() -> str:
    """The worker sees to it that handlers find the database it uses in the environment."""
    return os.environ["JOBHUB_DATABASE_URL"]


def _plain(value: Any) -> Any:
    """A value as JSON shows it: numbers as numbers, and types JSON knows nothing of as PostgreSQL's users read them."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        return float(value) if value % 1 else int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str | bytes | datetime | date | time | timedelta | UUID | dict):
        return value
    return [_plain(member) for member in value] if isinstance(value, list) else str(value)


def _csv(columns: list[str], rows: list[list[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a spreadsheet may show it: never as a formula (OWASP, CSV injection)."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return "'" + value
    return value
