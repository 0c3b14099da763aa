"""Deliveries that vanished from outside are made anew. Not here: when that is looked for (`worker.repair`)."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from jobhub.store.database import Connection


class Place(msgspec.Struct, frozen=True):
    """A pending job in the order in which pages of them are looked through."""

    job_type: str = ""
    due_at: datetime = datetime.min.replace(tzinfo=UTC)
    job_id: UUID = UUID(int=0)


START = Place()


async def repair_deliveries(db: Connection, after: Place) -> tuple[int, Place]:
    """Look at the pending jobs after a place: how many had lost their delivery and have one again, and where to go on."""
    row = await db.fetch_row("repair_deliveries", after_type=after.job_type, after_due_at=after.due_at, after_id=after.job_id)
    assert row is not None  # a SELECT without a condition
    return int(row["repaired"]), Place(row["job_type"], row["due_at"], row["id"]) if row["id"] else START
