"""What the database says of itself."""

from datetime import datetime

import msgspec

from jobhub.store.database import Connection


class ServerClock(msgspec.Struct, frozen=True, kw_only=True):
    """The server's version, in words and as a number, whether it takes no writes, and its clock."""

    version: str
    version_number: int
    is_replica: bool
    now: datetime


async def schema_revision(db: Connection) -> str | None:
    """The number of the last migration; None before the first."""
    row = await db.fetch_row("schema_revision_table")
    if row is None or not row["present"]:
        return None
    row = await db.fetch_row("schema_revision")
    return row["revision"] if row else None


async def list_setup_faults(db: Connection) -> list[str]:
    """What somebody changed that dispatch counts on, a sentence each."""
    return [row["fault"] for row in await db.fetch("list_setup_faults")]


async def list_vacuum_faults(db: Connection, *, open_seconds: float, dead_rows: int) -> list[str]:
    """What keeps PostgreSQL from tidying up, a sentence each: transactions open for so long, tables with that many dead rows and more."""
    rows = await db.fetch("list_vacuum_faults", open_seconds=open_seconds, dead_rows=dead_rows)
    return [row["fault"] for row in rows]


async def server_clock(db: Connection) -> ServerClock:
    """Which server this is, and its time now."""
    row = await db.fetch_row("server_clock")
    assert row is not None  # a SELECT without FROM
    return msgspec.convert(dict(row), ServerClock)


async def list_worker_versions(db: Connection) -> dict[str, int]:
    """How many live workers there are of each version of jobhub."""
    return {row["version"]: row["workers"] for row in await db.fetch("list_worker_versions")}
