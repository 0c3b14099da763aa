"""What the database says of itself."""

from jobhub.store.database import Connection


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
