"""Keeping the statistics: one function per statement of sql/queries/rollups.sql. Not here: reading them (`store.reports`)."""

from jobhub.store.database import Connection

BATCH = 1000  # what each of them takes at most


async def fold_job_stats(db: Connection) -> int:
    """Add a batch of changes to the rollups; how many. None while somebody else does."""
    row = await db.fetch_row("fold_job_stats")
    return int(row["folded"]) if row else 0


async def remove_old_job_stats(db: Connection, resolution: str) -> int:
    """Delete a batch of minutes or hours that are not kept any more; fewer than BATCH when nothing is left."""
    row = await db.fetch_row("remove_old_job_stats", resolution=resolution)
    return int(row["removed"]) if row else 0
