"""Indexes that clean-ups left nearly empty, and making them anew: sql/queries/indexes.sql.

Not here: when (`services.reindexing`).
"""

import asyncpg
import msgspec

from jobhub.store.database import Connection
from jobhub.store.session import Session

REINDEX_SECONDS = 3600.0  # some ten seconds for each million rows


class BloatedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """A large index that is nearly empty: its name as SQL writes it, its size, how many rows its table has, whether we may make it anew."""

    name: str
    bytes: int
    rows: int
    is_ours: bool


class UnfinishedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """What a REINDEX CONCURRENTLY that was given up left behind."""

    name: str
    is_ours: bool


async def list_bloated_indexes(db: Connection, *, index_bytes: int) -> list[BloatedIndex]:
    """Those larger than that and nearly empty, the largest first."""
    return [msgspec.convert(dict(row), BloatedIndex) for row in await db.fetch("list_bloated_indexes", index_bytes=index_bytes)]


async def list_unfinished_indexes(db: Connection) -> list[UnfinishedIndex]:
    """Those that only cost writes."""
    return [msgspec.convert(dict(row), UnfinishedIndex) for row in await db.fetch("list_unfinished_indexes")]


async def limit_lock_waits(session: Session, seconds: float) -> None:
    """What this session runs from now on waits no longer for locks, and for transactions that must end first."""
    await session.fetch_row("limit_lock_waits", seconds=seconds)


async def reindex(session: Session, name: str) -> bool:
    """Make an index anew while everybody works on. False: a transaction did not end in time, and something unfinished is left."""
    return await _run(session, f"REINDEX INDEX CONCURRENTLY {name}")


async def drop_index(session: Session, name: str) -> bool:
    """Drop what was left unfinished. False: a transaction did not end in time."""
    return await _run(session, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


async def _run(session: Session, command: str) -> bool:
    try:
        await session.run_command(command, limit_seconds=REINDEX_SECONDS)
    except asyncpg.LockNotAvailableError:
        return False
    return True
