"""Deliveries and claims that vanished from outside are made anew. Not here: when that is looked for (`worker.repair`)."""

from uuid import UUID

from jobhub.store.database import Connection

START = UUID(int=2**128 - 1)


async def repair_deliveries(db: Connection, before: UUID) -> tuple[int, UUID]:
    """Look at the jobs older than one: how many had lost what leads to them and have it again, and where to go on."""
    row = await db.fetch_row("repair_deliveries", before_id=before)
    assert row is not None  # a SELECT without a condition
    return int(row["repaired"]), row["id"] or START
