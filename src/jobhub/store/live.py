"""Jobs for those who wait for news of them: what there is to see now, and whole jobs in shared reads. Statements of sql/queries/live.sql.

Not here: how waiting works (`store.watching`), who may wait for what (`services.waiting`, `services.streams`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from jobhub.domain.jobs import Job
from jobhub.store.batching import Batches
from jobhub.store.database import Database
from jobhub.store.jobs import job_from
from jobhub.store.watching import Watch

# A change is to be known within 50 ms; a look at 2,000 jobs takes some milliseconds.
JOBS_PAUSE_SECONDS = 0.02
# A stream shows each job at most four times a second; a look reads up to a thousand rows for each owner.
OWNERS_PAUSE_SECONDS = 0.25
_OWNERS_AT_ONCE = 20
# An open page is looked at by somebody who blinks. All pages are looked at together, a hundred a second if there are many: a page is some
# thirty jobs, and whoever submits needs the process more.
PAGES_PAUSE_SECONDS = 0.5
_SECONDS_PER_PAGE = 0.01
# Each may carry megabytes of result, and they are in memory together.
_READS_AT_ONCE = 20
_READ_STATEMENTS_AT_ONCE = 2
_TURNS = 50


class Mark(NamedTuple):
    """What is compared of a job to know whether there is news of it."""

    version: int
    is_finished: bool


Marks = dict[UUID, Mark]


class PageKey(NamedTuple):
    """What an open page shows: these jobs, and the newest one of a user, if that is asked for."""

    newest_of: UUID | None
    job_ids: tuple[UUID, ...]


def mark_of(job: Job) -> Mark:
    """The mark of a job as it was read."""
    return Mark(job.version, job.status.is_finished)


class Live:
    """What one API process watches and reads for those who wait. `jobs` is watched by job, `owners` by user, `pages` by what they show."""

    def __init__(self, db: Database) -> None:
        self._db = db
        # For reads after a wait: thousands may be told at once, and the patience of the last is not to run out behind the others.
        self.turns = asyncio.Semaphore(_TURNS)
        self.jobs: Watch[UUID, Marks] = Watch(self._look_at_jobs, pause_seconds=JOBS_PAUSE_SECONDS)
        self.owners: Watch[UUID, Marks] = Watch(self._look_at_owners, pause_seconds=OWNERS_PAUSE_SECONDS)
        self.pages: Watch[PageKey, Marks] = Watch(
            self._look_at_pages, pause_seconds=PAGES_PAUSE_SECONDS, pause_seconds_each=_SECONDS_PER_PAGE
        )
        self._reads: Batches[tuple[UUID, UUID | None], Job | None] = Batches(
            self._read, max_items=_READS_AT_ONCE, at_once=_READ_STATEMENTS_AT_ONCE
        )

    async def read(self, job_id: UUID, *, owner_id: UUID | None) -> Job | None:
        """One job; None if there is none or `owner_id` is given and it is somebody else's. Reads at the same time share statements.

        Raises:
            DatabaseUnavailable
        """
        return await self._reads.put((job_id, owner_id))

    async def read_all(self, job_ids: Sequence[UUID], *, owner_id: UUID | None) -> list[Job]:
        """Those of the jobs that there are and may be seen, in the order given."""
        return [job for job in await self._read([(job_id, owner_id) for job_id in job_ids]) if job]

    def end(self) -> None:
        """Let everybody who waits have their answer now."""
        self.jobs.end()
        self.owners.end()
        self.pages.end()

    async def close(self) -> None:
        """End, and ask the database nothing more."""
        await self.jobs.close()
        await self.owners.close()
        await self.pages.close()

    async def _read(self, asked: list[tuple[UUID, UUID | None]]) -> list[Job | None]:
        rows = await self._db.fetch("get_jobs", job_ids=[job_id for job_id, _ in asked], owner_ids=[owner_id for _, owner_id in asked])
        found = {row["ordinal"]: job_from(row) for row in rows}
        return [found.get(ordinal) for ordinal in range(1, len(asked) + 1)]

    async def _look_at_jobs(self, known: Mapping[UUID, Marks]) -> dict[UUID, Marks]:
        versions = [marks[job_id].version if marks else None for job_id, marks in known.items()]
        rows = await self._db.fetch("changed_jobs", job_ids=list(known), versions=versions)
        return {row["job_id"]: {} if row["version"] is None else {row["job_id"]: Mark(row["version"], row["is_finished"])} for row in rows}

    async def _look_at_owners(self, known: Mapping[UUID, Marks]) -> dict[UUID, Marks]:
        owner_ids = list(known)
        marks: dict[UUID, Marks] = {owner_id: {} for owner_id in owner_ids}
        for start in range(0, len(owner_ids), _OWNERS_AT_ONCE):
            some = owner_ids[start : start + _OWNERS_AT_ONCE]
            for row in await self._db.fetch("newest_marks_of_owners", owner_ids=some):
                marks[row["owner_id"]][row["job_id"]] = Mark(row["version"], row["is_finished"])
        return marks

    async def _look_at_pages(self, known: Mapping[PageKey, Marks]) -> dict[PageKey, Marks]:
        """Of what a page knows only what it shows is kept: a newest job that isn't the newest any more is nobody's to watch."""
        pairs = list({(job_id, mark.version) for marks in known.values() for job_id, mark in marks.items()})
        rows = await self._db.fetch("changed_jobs", job_ids=[pair[0] for pair in pairs], versions=[pair[1] for pair in pairs])
        changed = {row["job_id"]: None if row["version"] is None else Mark(row["version"], row["is_finished"]) for row in rows}
        newest = await self._newest_of({key.newest_of for key in known if key.newest_of})
        present: dict[PageKey, Marks] = {}
        for key, marks in known.items():
            job_id, mark = newest.get(key.newest_of, (None, None))
            is_newest_known = mark is None or (job_id in marks and marks[job_id].version == mark.version)
            if is_newest_known and changed.keys().isdisjoint(marks):
                continue
            shown = {shown_id: changed.get(shown_id, marks[shown_id]) for shown_id in key.job_ids if shown_id in marks}
            if job_id is not None:
                shown[job_id] = marks[job_id] if is_newest_known else mark
            present[key] = {shown_id: now for shown_id, now in shown.items() if now is not None}
        return present

    async def _newest_of(self, owner_ids: set[UUID]) -> dict[UUID | None, tuple[UUID, Mark]]:
        if not owner_ids:
            return {}
        rows = await self._db.fetch("newest_job_of_owners", owner_ids=sorted(owner_ids))
        return {row["owner_id"]: (row["job_id"], Mark(row["version"], row["is_finished"])) for row in rows}
