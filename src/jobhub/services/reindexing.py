"""Making indexes anew that clean-ups left nearly empty: once a day, by one worker, while everybody works on.

Not here: which those are (sql/queries/indexes.sql).
"""

from collections.abc import Sequence
from datetime import UTC, timedelta

import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import indexes, jobs, retention
from jobhub.store.database import Database
from jobhub.store.indexes import BloatedIndex
from jobhub.store.session import Session

INDEX_BYTES = 64 * 2**20  # a smaller index is no burden, however empty
EVERY = timedelta(hours=20)  # a day, and some hours for a clock that was put right
LOCK_SECONDS = 60.0  # the longest a report's transaction is waited for
_CHORE = "reindex"
_log = structlog.get_logger("jobhub.reindexing")


class Reindexed(msgspec.Struct, frozen=True, kw_only=True):
    """The indexes that were made anew; those that were not, because a transaction was open for too long or they are somebody else's."""

    done: Sequence[str]
    given_up: Sequence[str]


async def reindex_daily(db: Database, *, hour: int, index_bytes: int = INDEX_BYTES, lock_seconds: float = LOCK_SECONDS) -> Reindexed | None:
    """In that hour (UTC) make all anew that are nearly empty and larger than `index_bytes`. None: it is not time.

    What was given up before, by whomever, is dropped first; and nothing is begun while that can't be dropped, or after another one has been
    given up: each leaves an index that only costs writes.
    """
    now = await jobs.database_now(db)
    if now.astimezone(UTC).hour != hour:
        return None
    if not await retention.begin_chore(db, _CHORE, every=EVERY):
        return None
    before = await indexes.list_bloated_indexes(db, index_bytes=index_bytes)
    try:
        async with db.own_session() as session:
            await indexes.limit_lock_waits(session, lock_seconds)
            await _reindex(session, before)
    except DatabaseUnavailable as error:  # out of disk, cancelled by an operator, or it took too long
        _log.warning("reindex_failed", cause=repr(error.__cause__))
    async with db.own_session() as session:
        await indexes.limit_lock_waits(session, lock_seconds)
        await _drop_unfinished(session)
    left = {bloated.name for bloated in await indexes.list_bloated_indexes(db, index_bytes=index_bytes)}
    names = [bloated.name for bloated in before]
    return Reindexed(done=[name for name in names if name not in left], given_up=[name for name in names if name in left])


async def _reindex(session: Session, bloated: Sequence[BloatedIndex]) -> None:
    if await _drop_unfinished(session):
        for one in bloated:
            if one.is_ours and not await indexes.reindex(session, one.name):
                return


async def _drop_unfinished(session: Session) -> bool:
    """Whether nothing of ours is left that is unfinished."""
    unfinished = [one.name for one in await indexes.list_unfinished_indexes(session) if one.is_ours]
    return all([await indexes.drop_index(session, name) for name in unfinished])
