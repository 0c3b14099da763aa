"""Following jobs: what there is to see, then each change, for as long as somebody listens. Not here: how that is sent (`web.events`)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import NamedTuple, TypeVar
from uuid import UUID

from jobhub.domain.errors import DatabaseUnavailable, TooManyStreams, Unauthenticated
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob, all_placed, scope_of
from jobhub.store.database import Database
from jobhub.store.live import Live, Mark, Marks, PageKey, mark_of
from jobhub.store.watching import Watch

Key = TypeVar("Key", bound=Hashable)
Told = TypeVar("Told")

HEARTBEAT_SECONDS = 15.0  # proxies cut what is silent for a minute, some for half of one
EVENTS_SECONDS = 0.25  # between two events of one job: nobody reads faster, and progress comes in bursts
_OUTAGE_SECONDS = 1.0
_JOBS_AT_ONCE = 10  # what one slow reader may keep in memory; a result can have 8 MiB


class News(NamedTuple):
    """There is another version of a job; who wants to see it has to ask."""

    job_id: UUID
    version: int


_Teller = Callable[[Marks], AsyncGenerator[tuple[Told, UUID, Mark], None]]  # says what is new, one job after the other


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
    they may not follow any more. `pause_seconds` is how long nothing follows on an event.

    In what its generators yield, None is a heartbeat. They end when the user may not follow any more, or the watch is over.
    """

    def __init__(
        self,
        db: Database,
        live: Live,
        user: User,
        look_again: Callable[[], Awaitable[User]],
        *,
        pause_seconds: Callable[[], float] = lambda: EVENTS_SECONDS,
    ) -> None:
        self._db = db
        self._live = live
        self._user = user
        self._look_again = look_again
        self._pause_seconds = pause_seconds

    def job(self, job_id: UUID) -> AsyncGenerator[PlacedJob | None, None]:
        """One job as it is, then after its changes. Ends once it was shown finished, is gone, or may not be seen any more."""
        return self._follow(self._live.jobs, job_id, self._show, until_finished=True)

    def news_of_job(self, job_id: UUID) -> AsyncGenerator[News | None, None]:
        """As `job`, but says only that there is another version: for who reads the job otherwise."""
        return self._follow(self._live.jobs, job_id, self._name_visible, until_finished=True)

    def own_jobs(self) -> AsyncGenerator[PlacedJob | None, None]:
        """The user's 1,000 newest jobs as they are, oldest first, then those of them that change or are new. As `job`, but without end."""
        return self._follow(self._live.owners, self._user.id, self._show)

    def page(self, shown: dict[UUID, int], *, newest: bool) -> AsyncGenerator[PlacedJob | News | None, None]:
        """The jobs of an open page, in the versions it shows, as they change; with `newest` also that there is a newer one.

        A reconnect with the same versions misses nothing. Without end, as `own_jobs`, and much cheaper.
        """
        key = PageKey(self._user.id if newest else None, tuple(sorted(shown)))
        marks = {job_id: Mark(version, is_finished=False) for job_id, version in shown.items()}

        async def tell(news: Marks) -> AsyncGenerator[tuple[PlacedJob | News, UUID, Mark], None]:
            for teller, is_of_page in ((self._show, True), (_name, False)):
                async with aclosing(teller({job_id: mark for job_id, mark in news.items() if (job_id in shown) == is_of_page})) as told:
                    async for one in told:
                        yield one

        return self._follow(self._live.pages, key, tell, shown=marks)

    async def _follow(
        self, watch: Watch[Key, Marks], key: Key, tell: _Teller[Told], *, until_finished: bool = False, shown: Marks | None = None
    ) -> AsyncGenerator[Told | None, None]:
        shown = shown or {}
        while not watch.is_over:
            now = await watch.until_changed(key, shown, seconds=HEARTBEAT_SECONDS)
            unchanged = {job_id: mark for job_id, mark in shown.items() if now.get(job_id) == mark}
            news = {job_id: now[job_id] for job_id in sorted(now.keys() - unchanged.keys())}
            if not news:
                yield None
            known: Marks = {}
            try:
                self._user = await self._look_again()
                async with aclosing(tell(news)) as telling:
                    async for told, job_id, mark in telling:
                        yield told
                        known[job_id] = mark
            except DatabaseUnavailable:
                shown |= known
                await asyncio.sleep(_OUTAGE_SECONDS)
                continue
            except Unauthenticated:
                return
            shown = unchanged | known  # of the news, what was not found is gone, or not theirs to see any more
            if until_finished and all(mark.is_finished for mark in shown.values()):
                return
            if news:
                await asyncio.sleep(self._pause_seconds())

    async def _show(self, news: Marks) -> AsyncGenerator[tuple[PlacedJob, UUID, Mark], None]:
        job_ids = list(news)
        for start in range(0, len(job_ids), _JOBS_AT_ONCE):
            for placed in await self._read(job_ids[start : start + _JOBS_AT_ONCE]):
                yield placed, placed.job.id, mark_of(placed.job)

    async def _name_visible(self, news: Marks) -> AsyncGenerator[tuple[News, UUID, Mark], None]:
        """Read in turn with others, since an administrator may be one no more; but not placed in the queue."""
        for job_id in news:
            if job := await self._live.read(job_id, owner_id=scope_of(self._user)):
                yield News(job_id, job.version), job_id, mark_of(job)

    async def _read(self, job_ids: Sequence[UUID]) -> list[PlacedJob]:
        return await all_placed(self._db, await self._live.read_all(job_ids, owner_id=scope_of(self._user)))


async def _name(news: Marks) -> AsyncGenerator[tuple[News, UUID, Mark], None]:
    for job_id, mark in news.items():
        yield News(job_id, mark.version), job_id, mark
