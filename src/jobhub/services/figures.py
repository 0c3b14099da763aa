"""The figures monitoring asks for, of the queue and its workers: read at most every few seconds, and never waited for for long.

Not here: how they are written down (`web.exposition`), what an administrator reads (`services.insight`).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.job_types import Registry
from jobhub.domain.jobs import AttemptOutcome
from jobhub.store import metrics as store
from jobhub.store import reports
from jobhub.store.database import Database
from jobhub.store.metrics import WorkerFigures
from jobhub.store.reports import Lags

CACHE_SECONDS = 5.0  # several that scrape, or one that does so often, cost no more than this
LIMIT_SECONDS = 2.5  # an answer within 3 s, as everywhere; a scrape is given up after 10 s by default
# An attempt has the time its statement began and is seen when that commits: so long after, all of them are.
COMMIT_LAG = timedelta(seconds=5)
# After a longer pause the counters leave out what ended before: nobody scraped, and counting it might take longer than we may.
MAX_SPAN = timedelta(minutes=5)
UNKNOWN_TYPE = "unknown"
_log = structlog.get_logger("jobhub.metrics")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One look. By type means: each job type this process knows, also with 0, and `unknown` for all others together.

    `ended` and `finishes` count from the first look of this process.
    """

    workers: WorkerFigures
    due: dict[str, int]
    scheduled: dict[str, int]
    running: dict[str, int]
    oldest_due_seconds: float | None
    lags: Lags
    ended: dict[tuple[str, AttemptOutcome], int]
    finishes: int


class FigureReader:
    """Reads the figures, for any number of scrapes at once."""

    def __init__(self, db: Database, registry: Registry) -> None:
        self._db = db
        self._types = [job_type.name for job_type in registry]
        self._ended = {(job_type, outcome): 0 for job_type in self._types for outcome in AttemptOutcome}
        self._finishes = 0
        self._counted_until: datetime | None = None
        self._latest: Figures | None = None
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    async def read(self) -> Figures | None:
        """The figures, at most `CACHE_SECONDS` old; None if the database did not give them in time. Never raises because of it."""
        async with self._lock:
            if time.monotonic() >= self._expires_at:
                self._latest = await self._look_in_time()
                self._expires_at = time.monotonic() + CACHE_SECONDS
            return self._latest

    async def _look_in_time(self) -> Figures | None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._look()
        except (DatabaseUnavailable, TimeoutError) as error:
            _log.warning("figures_not_read", cause=repr(error.__cause__ or error))
            return None

    async def _look(self) -> Figures:
        workers = await store.worker_figures(self._db)
        await self._count_ended(workers.now)
        unfinished = await reports.count_unfinished(self._db)
        _, oldest_due_seconds = await reports.oldest_due(self._db)
        return Figures(
            workers=workers,
            due=self._by_type((one.job_type, one.due) for one in unfinished),
            scheduled=self._by_type((one.job_type, one.scheduled) for one in unfinished),
            running=self._by_type((one.job_type, one.running) for one in unfinished),
            oldest_due_seconds=oldest_due_seconds,
            lags=await reports.dispatch_lags(self._db),
            ended=dict(self._ended),
            finishes=self._finishes,
        )

    async def _count_ended(self, now: datetime) -> None:
        """Add what has ended since the last look."""
        until = now - COMMIT_LAG
        since = max(self._counted_until or until, until - MAX_SPAN)
        if since < until:
            ended = await store.count_ended_attempts(self._db, since, until)
            self._finishes += await store.count_finishes(self._db, since, until)
            for (job_type, outcome), attempts in ended.items():
                key = (self._known(job_type), outcome)
                self._ended[key] = self._ended.get(key, 0) + attempts
        self._counted_until = max(since, until)

    def _by_type(self, counts: Iterable[tuple[str, int]]) -> dict[str, int]:
        by_type = Counter(dict.fromkeys(self._types, 0))
        for job_type, count in counts:
            by_type[self._known(job_type)] += count
        return dict(by_type)

    def _known(self, job_type: str) -> str:
        return job_type if job_type in self._types else UNKNOWN_TYPE
