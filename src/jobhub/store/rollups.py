"""Keeping the statistics: one function per statement of sql/queries/rollups.sql. Not here: reading them (`store.reports`)."""

from jobhub.domain.spans import Resolution
from jobhub.store.database import Connection


async def fold_job_stats(db: Connection) -> int:
    """Add a batch of changes, at most 1,000, to the rollups; how many: none while somebody else does."""
    row = await db.fetch_row("fold_job_stats")
    return int(row["folded"]) if row else 0


async def fold_is_due(db: Connection, *, seconds: float) -> bool:
    """Whether the oldest change has waited for so long to be folded."""
    row = await db.fetch_row("fold_is_due", seconds=seconds)
    assert row is not None  # a SELECT without FROM
    return bool(row["is_due"])


async def remove_old_job_stats(db: Connection, *, resolution: Resolution) -> int:
    """Delete a batch of spans that are not kept any more; fewer than 1,000 when nothing is left."""
    row = await db.fetch_row("remove_old_job_stats", resolution=resolution)
    return int(row["removed"]) if row else 0
