"""docs/reporting.md: its template, with the comments of the views, the headers of the reports and the settings of the role.

`python -m tests.contract.reporting_page` writes it. Not here: the comments (sql/migrations/), the words around them (docs/reporting.md.in).
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psycopg

from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import start_server
from jobhub.postgres.files import sql_directory
from jobhub.postgres.migrations import migrate
from jobhub.postgres.reporting_role import CONNECTION_LIMIT, SETTINGS, SETTINGS_SINCE_17
from jobhub.store.reporting import list_reports

DOCS = Path(__file__).parents[2] / "docs"
PAGE, TEMPLATE = DOCS / "reporting.md", DOCS / "reporting.md.in"
MEANINGS = {
    "default_transaction_read_only": "it writes nothing",
    "idle_in_transaction_session_timeout": "an open transaction that does nothing is ended",
    "idle_session_timeout": "so is a connection",
    "lock_timeout": "it doesn't wait for long behind a migration",
    "max_parallel_workers_per_gather": "one report, one processor",
    "search_path": "`jobs_v1` alone is enough",
    "statement_timeout": "the longest report",
    "transaction_timeout": "the longest transaction, from PostgreSQL 17 on",
}

Columns = tuple[tuple[str, str, str], ...]  # name, type, comment


def render(connection: psycopg.Connection) -> str:
    """The whole page, as the database a connection leads to has its views."""
    views = _views(connection)
    parts = {
        "connections": str(CONNECTION_LIMIT),
        "settings": _table((f"`{name}`", f"`{value}`: {MEANINGS[name]}") for name, value in (SETTINGS | SETTINGS_SINCE_17).items()),
        "reports": "| report | parameters | answers |\n|---|---|---|\n" + _table(_reports()),
        "views": _sections({name: view for name, view in views.items() if "_private_" not in name}),
        "private_views": _sections({name: view for name, view in views.items() if "_private_" in name}),
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    return page


def _views(connection: psycopg.Connection) -> dict[str, tuple[str, Columns]]:
    """Comment and columns of each view, in the order they were made."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        cursor.execute(
            "SELECT relname, obj_description(pg_class.oid, 'pg_class'),"
            " attname, format_type(atttypid, NULL), col_description(pg_class.oid, attnum)"
            " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v' AND attnum > 0 ORDER BY pg_class.oid, attnum"
        )
        views: dict[str, tuple[str, Columns]] = {}
        for name, comment, *column in cursor:
            views[name] = (comment, (*views.get(name, ("", ()))[1], tuple(column)))
        return views


def _sections(views: dict[str, tuple[str, Columns]]) -> str:
    """One section per view; those with the same columns share one."""
    alike: dict[Columns, list[str]] = {}
    for name, (_, columns) in views.items():
        alike.setdefault(columns, []).append(name)
    return "\n\n".join(_section(names, views, columns) for columns, names in alike.items())


def _section(names: list[str], views: dict[str, tuple[str, Columns]], columns: Columns) -> str:
    sentences = [f"`{name}`: {views[name][0]}." for name in names] if len(names) > 1 else [f"{views[names[0]][0]}."]
    head = f"### {', '.join(names)}\n\n" + "  \n".join(sentences)
    rows = _table((f"`{name}`", kind, meaning) for name, kind, meaning in columns)
    return f"{head}\n\n| column | type | meaning |\n|---|---|---|\n{rows}"


def _reports() -> Iterable[tuple[str, str, str]]:
    for report in list_reports().values():
        text = (sql_directory() / "reports" / f"{report.name}.sql").read_text(encoding="utf-8")
        of_tables = "" if "reporting." in text else " It reads the tables, so only their owner can run it."
        parameters = ", ".join(f"`{name}` = {default}" for name, default in _defaults(text))
        yield f"`{report.name}`", parameters, report.title + of_tables


def _defaults(text: str) -> Iterable[tuple[str, str]]:
    for line in text.splitlines():
        if line.startswith("-- param: "):
            declaration, default = line.removeprefix("-- param: ").split(" = ", 1)
            yield declaration.split()[0], default


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="jobhub-docs-"))
    directory.chmod(0o755)  # the server may have to run as somebody else
    server = start_server(directory, find_binaries(os.environ), environ=os.environ, database="postgres", durable=False)
    try:
        migrate(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            PAGE.write_text(render(connection), encoding="utf-8")
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
