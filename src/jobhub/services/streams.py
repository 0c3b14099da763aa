"""Following jobs: what there is to see, then each change, for as long as somebody listens. Not here: how that is sent (`web.events`)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from jobhub.domain.errors import DatabaseUnavailable, TooManyStreams, Unauthenticated
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob, all_placed, scope_of
from jobhub.store.database import Database
from jobhub.store.live import Live, Mark, Marks, PageKey, mark_of
from jobhub.store.watching import Watch

Key = TypeVar("Key", bound=Hashable)

HEARTBEAT_SECONDS = 15.0  # proxies cut what is silent for a minute, some for half of one
EVENTS_SECONDS = 0.25  # between two events of one job: nobody reads faster, and progress comes in bursts
_OUTAGE_SECONDS = 1.0
_JOBS_AT_ONCE = 10  # what one slow reader may keep in memory; a result can have 8 MiB


class StreamLimit:
    """How many streams each user has open in this process."""

    def __init__(self, per_user: int) -> None:
        self._per_user = per_user
        self._open: Counter[UUID] = Counter()

    @property
    def total(self) -> int:
        """How many all users have open together."""
        return self._open.total()

    @contextmanager
    def hold(self, user: User) -> Iterator[None]:
        """Count one stream more in the block. Raises TooManyStreams."""
        if self._open[user.id] >= self._per_user:
            raise TooManyStreams(self._per_user)
        self._open[user.id] += 1
        try:
            yield
        finally:
            self._open[user.id] -= 1
            if not self._open[user.id]:
                del self._open[user.id]


class Follower:
    """Follows jobs for one user, who is looked at again with every change and every heartbeat: `look_again` raises Unauthenticated if
    they may not follow any more.
    """

    def __init__(self, db: Database, live: Live, user: User, look_again: Callable[[], Awaitable[User]]) -> None:
        self._db = db
        self._live = live
        self._user = user
        self._look_again = look_again

    def job(self, job_id: UUID) -> AsyncGenerator[PlacedJob | None, None]:
        """One job as it is, then after its changes. Ends once it was shown finished, is gone, or may not be seen any more.

        None is a heartbeat. Ends also when the user is disabled, or the watch is over.
        """
        return self._follow(self._live.jobs, job_id, until_finished=True)

    def own_jobs(self) -> AsyncGenerator[PlacedJob | None, None]:
        """The user's 1,000 newest jobs as they are, oldest first, then those of them that change or are new. As `job`, but without end."""
        return self._follow(self._live.owners, self._user.id, until_finished=False)

    def page(self, shown: dict[UUID, int], *, newest: bool) -> AsyncGenerator[PlacedJob | None, None]:
        """The jobs of an open page, in the versions it shows, as they change; with `newest` also each that becomes the user's newest.

        A reconnect with the same versions misses nothing. Without end, as `own_jobs`, and much cheaper.
        """
        key = PageKey(self._user.id if newest else None, tuple(sorted(shown)))
        marks = {job_id: Mark(version, is_finished=False) for job_id, version in shown.items()}
        return self._follow(self._live.pages, key, until_finished=False, shown=marks)

    async def _follow(
        self, watch: Watch[Key, Marks], key: Key, *, until_finished: bool, shown: Marks | None = None
    ) -> AsyncGenerator[PlacedJob | None, None]:
        shown = shown or {}
        while not watch.is_over:
            now = await watch.until_changed(key, shown, seconds=HEARTBEAT_SECONDS)
            unchanged = {job_id: mark for job_id, mark in shown.items() if now.get(job_id) == mark}
            news = sorted(now.keys() - unchanged.keys())
            if not news:
                yield None
            told: Marks = {}
            try:
                self._user = await self._look_again()
                for start in range(0, len(news), _JOBS_AT_ONCE):
                    for placed in await self._read(news[start : start + _JOBS_AT_ONCE]):
                        yield placed
                        told[placed.job.id] = mark_of(placed.job)
            except DatabaseUnavailable:
                shown |= told
                await asyncio.sleep(_OUTAGE_SECONDS)
                continue
            except Unauthenticated:
                return
            shown = unchanged | told  # of the news, what was not found is gone, or not theirs to see any more
            if until_finished and all(mark.is_finished for mark in shown.values()):
                return
            if news:
                await asyncio.sleep(EVENTS_SECONDS)

    async def _read(self, job_ids: Sequence[UUID]) -> list[PlacedJob]:
        return await all_placed(self._db, await self._live.read_all(job_ids, owner_id=scope_of(self._user)))
