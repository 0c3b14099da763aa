"""Import of a CSV file into a table, with progress, in batches; a second run goes on where the first one was.

Each batch of rows is committed together with how far the file has been read, under the job's id. So it doesn't matter where a worker
dies: the next attempt has the same id, and no row is imported twice or left out.
"""

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

import jobhub

ROOT = Path(os.environ.get("IMPORT_ROOT", "imports")).resolve()
BATCH_ROWS = 500

TABLES = """
CREATE TABLE IF NOT EXISTS products (sku text NOT NULL, name text NOT NULL, price_cents integer NOT NULL);
CREATE TABLE IF NOT EXISTS product_imports (job_id uuid PRIMARY KEY, rows_done integer NOT NULL);
"""


class CsvImport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: Annotated[str, msgspec.Meta(pattern=r"^[\w-]+\.csv$", description="A file in IMPORT_ROOT, with sku, name and price_cents")]


Row = tuple[str, str, int]


@jobhub.job_type("example.csv_import", timeout_seconds=3600, retry=jobhub.Retry(max_attempts=5))
async def import_products(ctx: jobhub.JobContext, params: CsvImport) -> dict[str, int]:
    """Import products from a CSV file."""
    import asyncpg

    rows = list(_rows(ROOT / params.file))
    connection = await asyncpg.connect(os.environ["SHOP_DATABASE_URL"], command_timeout=30)
    try:
        await connection.execute(TABLES)
        done = await connection.fetchval("SELECT rows_done FROM product_imports WHERE job_id = $1", ctx.job_id) or 0
        resumed_at = done
        while batch := rows[done : done + BATCH_ROWS]:
            done += len(batch)
            async with connection.transaction():
                await connection.executemany("INSERT INTO products (sku, name, price_cents) VALUES ($1, $2, $3)", batch)
                await connection.execute(
                    "INSERT INTO product_imports (job_id, rows_done) VALUES ($1, $2)"
                    " ON CONFLICT (job_id) DO UPDATE SET rows_done = excluded.rows_done",
                    ctx.job_id,
                    done,
                )
            await ctx.progress(100 * done / len(rows), f"{done} of {len(rows)} rows")
    finally:
        await connection.close()
    return {"rows": len(rows), "resumed_at": resumed_at}


def _rows(path: Path) -> Iterator[Row]:
    """All rows. Raises JobFailed with the first line that can't be read: no try would change that."""
    if not path.is_file():
        raise jobhub.JobFailed(f"There is no file {path.name!r}.", code="no_such_file", retryable=False)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, record in zip(itertools.count(2), csv.DictReader(file), strict=False):
            try:
                yield record["sku"], record["name"], int(record["price_cents"])
            except (KeyError, TypeError, ValueError):
                raise jobhub.JobFailed(
                    f"Line {number} must have sku, name and price_cents, a whole number.", code="bad_row", retryable=False
                ) from None
