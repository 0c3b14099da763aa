"""Running a report of sql/reports/: read-only, with a time limit, its parameters bound and never pasted.

Not here: who may run it (`handlers.report_query`).
"""

import math
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec

from jobhub.postgres.files import sql_directory
from jobhub.store.connections import AWAY, connect
from jobhub.store.statements import Statement, parse

_PARAMETER = re.compile(r"^-- param: (\w+) (integer|number|text|boolean|timestamptz) = (.*)$", re.MULTILINE)
# What psql alone understands: lines that give a parameter its default, and `:'name'`, which puts its value in quotes.
_COMMAND = re.compile(r"^\\.*$", re.MULTILINE)
_QUOTED = re.compile(r":'(\w+)'")
_TYPES: dict[str, Any] = {
    "integer": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "number": float,
    "text": str,
    "boolean": bool,
    "timestamptz": Annotated[datetime, msgspec.Meta(tz=True)],
}
_DESCRIPTIONS = {
    "integer": "a whole number of 32 bits",
    "number": "a number",
    "text": "a text",
    "boolean": "true or false",
    "timestamptz": "a time with an offset, like 2026-11-23T10:00:00Z",
}
ROWS_AT_ONCE = 500


class ReportFailed(Exception):
    """The database refused or stopped the report; the message is fit for an administrator."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its name without `.sql`, its first line, its parameters with types and defaults, and its statement."""

    name: str
    title: str
    types: dict[str, str]
    defaults: dict[str, Any]
    statement: Statement

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """What to bind, in order. Raises ValueError: an unknown parameter, or a value of the wrong type."""
        if unknown := sorted(given.keys() - self.types.keys()):
            raise ValueError(f"{unknown[0]!r} is not a parameter of {self.name}; it takes {', '.join(self.types) or 'none'}")
        return [_typed(name, self.types[name], given.get(name, self.defaults[name])) for name in self.statement.parameters]


def _typed(name: str, kind: str, value: Any) -> Any:
    try:
        return msgspec.convert(value, _TYPES[kind], strict=True)
    except msgspec.ValidationError:
        raise ValueError(f"{name!r} must be {_DESCRIPTIONS[kind]}") from None


def list_reports() -> dict[str, Report]:
    """All reports by name."""
    return {path.stem: _read(path.stem, path.read_text(encoding="utf-8")) for path in sorted((sql_directory() / "reports").glob("*.sql"))}


def _read(name: str, text: str) -> Report:
    declared = {parameter: (kind, default) for parameter, kind, default in _PARAMETER.findall(text)}
    return Report(
        name=name,
        title=text.partition("\n")[0].removeprefix("-- "),
        types={parameter: kind for parameter, (kind, _) in declared.items()},
        defaults={parameter: msgspec.convert(default, _TYPES[kind], strict=False) for parameter, (kind, default) in declared.items()},
        statement=parse(name, _QUOTED.sub(r":\1", _COMMAND.sub("", text))),
    )


async def run_report(
    dsn: str, report: Report, parameters: Mapping[str, Any], *, timeout_seconds: float
) -> AsyncGenerator[tuple[list[str], list[list[Any]]], None]:
    """The column names and the next rows, again and again until the report is read.

    One snapshot for all of it, on a connection of its own that can't write.

    Raises:
        ReportFailed: too slow, refused, or no database.
    """
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": str(math.ceil(timeout_seconds * 1000)),  # 0 would be no limit at all
    }
    try:
        connection = await connect(dsn, application_name="jobhub report", settings=settings)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                prepared = await connection.prepare(report.statement.sql)
                columns = [attribute.name for attribute in prepared.get_attributes()]
                cursor = await prepared.cursor(*report.values(parameters))
                while rows := await cursor.fetch(ROWS_AT_ONCE):
                    yield columns, [list(row.values()) for row in rows]
                yield columns, []
        finally:
            await connection.close(timeout=2)
    except asyncpg.QueryCanceledError as error:
        raise ReportFailed(f"The report took longer than {timeout_seconds:g} s.") from error
    except asyncpg.PostgresError as error:
        raise ReportFailed(f"The database refused the report: {error}") from error
    except AWAY as error:
        raise ReportFailed("The database can't be reached.") from error


async def count_report(dsn: str, name: str, parameters: Mapping[str, Any], *, timeout_seconds: float) -> int:
    """How many rows a report has, parameters that are left out at their defaults. Raises ReportFailed."""
    rows = 0
    async with aclosing(run_report(dsn, list_reports()[name], parameters, timeout_seconds=timeout_seconds)) as batches:
        async for _, batch in batches:
            rows += len(batch)
    return rows
