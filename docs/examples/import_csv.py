"""Import a CSV file into a table, in batches, and go on where a crash has left off.

How far it is stands in the table `imports`, written in the transaction of each batch: rows are imported once, however often the attempt
is lost. Needs IMPORTS_DIR, where the files are, and CONTACTS_DATABASE_URL, with these tables:

    CREATE TABLE contacts (email text PRIMARY KEY, name text NOT NULL);
    CREATE TABLE imports (job_id uuid PRIMARY KEY, lines_done bigint NOT NULL, rows_skipped bigint NOT NULL);
"""

import asyncio
import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import msgspec

import jobhub

BATCH = 500


class ImportCsv(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: Annotated[
        str, msgspec.Meta(pattern=r"^[\w-]+\.csv$", description="A file of the imports directory, with the columns email and name")
    ]


@jobhub.job_type("contacts.import", timeout_seconds=3600, retry=jobhub.Retry(max_attempts=3))
async def import_csv(ctx: jobhub.JobContext, params: ImportCsv) -> dict[str, Any]:
    """Import contacts from a CSV file."""
    path = Path(os.environ["IMPORTS_DIR"]) / params.file
    if not path.exists():
        raise jobhub.JobFailed(f"There is no file {params.file}.", code="no_such_file", retryable=False)
    total = await asyncio.to_thread(_count_lines, path)
    connection = await asyncpg.connect(os.environ["CONTACTS_DATABASE_URL"])
    try:
        place = await connection.fetchrow("SELECT lines_done, rows_skipped FROM imports WHERE job_id = $1", ctx.job_id)
        done, skipped = (place["lines_done"], place["rows_skipped"]) if place else (0, 0)
        resumed_at = done
        batches = _batches(path, done)
        while batch := await asyncio.to_thread(next, batches, None):
            done, skipped = done + len(batch), skipped + await _import_batch(connection, ctx, batch, done + len(batch), skipped)
            await ctx.progress(100 * done / total, f"Line {done} of {total}")
        return {"lines": done, "skipped": skipped, "resumed_at": resumed_at}
    finally:
        await connection.close()


async def _import_batch(
    connection: asyncpg.Connection, ctx: jobhub.JobContext, batch: list[dict[str, str]], done: int, skipped: int
) -> int:
    """Import the rows and note how far that is, both or neither; how many were no contacts."""
    good = [
        (row["email"].strip().lower(), row["name"].strip()) for row in batch if "@" in (row["email"] or "") and (row["name"] or "").strip()
    ]
    bad = len(batch) - len(good)
    async with connection.transaction():
        await connection.executemany(
            "INSERT INTO contacts (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = excluded.name", good
        )
        await connection.execute(
            "INSERT INTO imports VALUES ($1, $2, $3)"
            " ON CONFLICT (job_id) DO UPDATE SET lines_done = excluded.lines_done, rows_skipped = excluded.rows_skipped",
            ctx.job_id,
            done,
            skipped + bad,
        )
    return bad


def _count_lines(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _batches(path: Path, done: int) -> Iterator[list[dict[str, str]]]:
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"email", "name"} <= set(reader.fieldnames or ()):
            raise jobhub.JobFailed("The file needs the columns email and name.", code="wrong_columns", retryable=False)
        rows = itertools.islice(reader, done, None)
        while batch := list(itertools.islice(rows, BATCH)):
            yield batch
