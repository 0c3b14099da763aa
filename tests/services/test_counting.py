"""Whatever is done to jobs through the services, statistics have each job where it finished last, and each clean-up leaves them alone."""

import random
from collections import Counter
from contextlib import suppress
from uuid import UUID

import pytest

from jobhub.domain.errors import IllegalTransition
from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.services import admin as administration
from jobhub.services import clean_up, insight, jobs
from jobhub.services.insight import Window
from jobhub.store import dispatch, rollups
from jobhub.store.jobs import Act
from tests.factories import make_job, make_worker
from tests.store.test_rollups import drift, fold_all

ACT = Act(actor_id=None)
TYPES = ["test.echo", "test.sleep"]
ENDINGS = [
    (AttemptOutcome.COMPLETED, JobStatus.COMPLETED, None),
    (AttemptOutcome.FAILED, JobStatus.FAILED, "boom"),
    (AttemptOutcome.FAILED, JobStatus.FAILED, "boom"),
    (AttemptOutcome.FAILED, JobStatus.PENDING, "boom"),
    (AttemptOutcome.CANCELLED, JobStatus.CANCELLED, None),
    (AttemptOutcome.RELEASED, JobStatus.PENDING, None),
]


class People:
    """Users, an administrator and a worker who act at random, and what statistics must say of it."""

    def __init__(self, seed, db, sql, owner, administrator) -> None:
        self._random = random.Random(seed)
        self._db, self._sql, self._owner, self._administrator = db, sql, owner, administrator
        self._worker_id = make_worker(sql)
        self._statuses: dict[UUID, JobStatus] = {}
        self._attempts: dict[UUID, int] = {}
        self.finished = Counter[JobStatus]()
        self.done = Counter[str]()

    async def step(self) -> None:
        act = self._random.choice([self._submit, self._claim, self._finish, self._finish, self._cancel, self._retry, self._complete])
        await (self._clean_up if self._random.random() < 0.03 else act)()
        if self._random.random() < 0.2:
            await rollups.fold_job_stats(self._db)

    def _moved(self, act: str, job_id: UUID, status: JobStatus) -> None:
        before = self._statuses.get(job_id, JobStatus.PENDING)
        self._statuses[job_id] = status
        self.finished.subtract([before] if before.is_finished else [])
        self.finished.update([status] if status.is_finished else [])
        self.done[f"{act} {before}"] += before is not status

    def _any(self, *statuses: JobStatus) -> list[UUID]:
        """One of them in one of the statuses, of all that there are."""
        found = [job_id for job_id, status in self._statuses.items() if status in (statuses or JobStatus)]
        return [self._random.choice(found)] if found else []

    async def _submit(self) -> None:
        job_id = make_job(self._sql, self._owner, job_type=self._random.choice(TYPES))
        self._moved("submit", job_id, JobStatus.PENDING)

    async def _claim(self) -> None:
        claim = await dispatch.claim_jobs(self._db, worker_id=self._worker_id, queues=["default"], known_types=TYPES, slots=3)
        for job in claim.jobs:
            self._attempts[job.id] = job.attempt
            self._moved("claim", job.id, JobStatus.RUNNING)

    async def _finish(self) -> None:
        for job_id in self._any(JobStatus.RUNNING):
            how, status, error_code = self._random.choice(ENDINGS)
            outcome = Outcome(
                job_id=job_id,
                attempt=self._attempts[job_id],
                outcome=how,
                status=status,
                error_code=error_code,
                error_message=error_code,
                delay_seconds=0.0,
            )
            for recorded in await dispatch.finish_jobs(self._db, [outcome]):
                self._moved("finish", recorded.job_id, recorded.status)

    async def _cancel(self) -> None:
        for job_id in self._any():
            with suppress(IllegalTransition):
                self._moved("cancel", job_id, (await jobs.cancel(self._db, job_id, by=self._owner, act=ACT)).job.status)

    async def _retry(self) -> None:
        for job_id in self._any(JobStatus.FAILED, JobStatus.CANCELLED):
            self._moved("retry", job_id, (await jobs.retry(self._db, job_id, by=self._owner, act=ACT)).job.status)

    async def _complete(self) -> None:
        wanted = self._random.choice([(JobStatus.FAILED,), (JobStatus.RUNNING,), ()])
        for job_id in self._any(*wanted):
            with suppress(IllegalTransition):
                completed = await administration.force_complete(self._db, job_id, result=None, by=self._administrator, act=ACT)
                self._moved("complete", job_id, completed.job.status)

    async def _clean_up(self) -> None:
        include_cancelled = self._random.random() < 0.5
        removed = await clean_up.clean_up(self._db, days_old=0, include_cancelled=include_cancelled, act=ACT)
        gone = [JobStatus.COMPLETED, *([JobStatus.CANCELLED] if include_cancelled else [])]
        kept = {job_id: status for job_id, status in self._statuses.items() if status not in gone}
        assert removed.deleted == len(self._statuses) - len(kept)
        self.done["clean up"] += removed.deleted
        self._statuses = kept


@pytest.mark.parametrize("seed", range(3))
async def test_statistics_say_what_was_done_whoever_did_it(db, sql, alice, admin, seed):
    people = People(seed, db, sql, alice, admin)

    for number in range(400):
        await people.step()
        if number % 40 == 39:
            for window in (Window.HOUR, Window.ALL):
                counts = (await insight.statistics(db, window)).counts
                assert {status: getattr(counts, status) for status in JobStatus if status.is_finished} == {
                    status: people.finished[status] for status in JobStatus if status.is_finished
                }
    assert drift(sql) == []
    await fold_all(db)
    assert drift(sql) == []
    needed = {"finish running", "retry failed", "retry cancelled", "complete failed", "complete running", "cancel pending", "clean up"}
    assert needed <= (+people.done).keys()
