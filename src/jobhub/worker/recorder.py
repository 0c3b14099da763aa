"""Recording outcomes: all that arrived while the last statement was on its way go into the next one.

A lone outcome never waits for company. While the database is away outcomes wait here, until it is back or the lease is over.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.store import dispatch
from jobhub.store.database import Database

MAX_BATCH = 500  # beyond this a statement holds its locks longer than a round trip is worth
_log = structlog.get_logger("jobhub.worker")


class Recorder:
    """Takes outcomes of many attempts and records them, fenced, in as few statements as their arrival allows."""

    def __init__(self, db: Database, *, lease_is_held: Callable[[], bool]) -> None:
        self._db = db
        self._lease_is_held = lease_is_held
        self._waiting: list[tuple[Outcome, Callable[[], object]]] = []
        self._flush: asyncio.Task[None] | None = None

    def put(self, outcome: Outcome, then: Callable[[], object]) -> None:
        """Record an outcome; call `then` once that is done, or there is no point in it any more."""
        self._waiting.append((outcome, then))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._flush_all(), name="record outcomes")

    async def record(self, outcome: Outcome) -> None:
        """Return once the outcome is recorded, or there is no point in it any more. Never raises."""
        done = asyncio.Event()
        self.put(outcome, done.set)
        await done.wait()

    async def _flush_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            await self._record([outcome for outcome, _ in batch])
            for _, then in batch:
                then()

    async def _record(self, outcomes: list[Outcome]) -> None:
        while True:
            try:
                recorded = await dispatch.finish_jobs(self._db, outcomes)
            except DatabaseUnavailable as error:
                if not self._lease_is_held():
                    _log.warning("outcomes_dropped", reason="lease over", jobs=[str(outcome.job_id) for outcome in outcomes])
                    return
                _log.warning("outcomes_wait", count=len(outcomes), cause=repr(error.__cause__))
                await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spreads retries
            except Exception as error:
                await self._record_one_by_one(outcomes, error)
                return
            else:
                if len(recorded) < len(outcomes):
                    self._report_fenced(outcomes, {(row.job_id, row.attempt) for row in recorded})
                return

    async def _record_one_by_one(self, outcomes: list[Outcome], error: Exception) -> None:
        """One outcome that can't be stored must not keep its neighbours from being recorded."""
        if len(outcomes) > 1:
            for outcome in outcomes:
                await self._record([outcome])
        elif outcomes[0].error_code != "outcome_not_storable":
            _log.error("outcome_not_storable", job_id=str(outcomes[0].job_id), exc_info=error)
            await self._record([_without_what_was_wrong(outcomes[0])])
        else:
            _log.error("outcome_dropped", job_id=str(outcomes[0].job_id), attempt=outcomes[0].attempt, exc_info=error)

    def _report_fenced(self, outcomes: list[Outcome], recorded: set[tuple[object, int]]) -> None:
        for outcome in outcomes:
            if (outcome.job_id, outcome.attempt) not in recorded:
                _log.info("outcome_fenced", job_id=str(outcome.job_id), attempt=outcome.attempt, outcome=outcome.outcome)


def _without_what_was_wrong(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(
        outcome,
        outcome=AttemptOutcome.FAILED,
        status=JobStatus.FAILED,
        result=None,
        traceback=None,
        error_code="outcome_not_storable",
        error_message="The handler ended, but what it returned could not be stored.",
    )
