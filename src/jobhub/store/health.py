"""What the database says of itself."""

from datetime import datetime

import msgspec

from jobhub.store.database import Connection


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`version_number` is 150004 for 15.4; a replica takes no writes."""

    version_number: int
    now: datetime
    is_replica: bool


async def server_facts(db: Connection) -> ServerFacts:
    """What the server says of itself."""
    row = await db.fetch_row("server_facts")
    assert row is not None  # a SELECT without FROM
    return ServerFacts(version_number=row["version_number"], now=row["now"], is_replica=row["is_replica"])


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
