"""Submits of many requests stored together: those that arrive while a statement is on its way share the next.

Not here: the statement (`store.jobs.submit_jobs`), what is waited for and in what company (`store.batching`).
"""

from jobhub.domain.limits import NO_LIMITS, Limits
from jobhub.store import jobs
from jobhub.store.batching import Batches
from jobhub.store.database import Database
from jobhub.store.jobs import IdempotencyKey, NewJob, Submit, SubmitAnswer

# Measured in docs/decisions/0009-group-submit.md: more in a statement, or more statements at once, store no more jobs a second.
MAX_JOBS = 100
MAX_PARAMETERS_BYTES = 1024 * 1024  # a statement's share of memory on both sides; eight submits of the largest kind
STATEMENTS_AT_ONCE = 1


class Submissions:
    """Stores jobs of one process, within the limits of their owners."""

    def __init__(self, db: Database, limits: Limits = NO_LIMITS) -> None:
        self.limits = limits
        self._db = db
        self._batches = Batches(
            self._store,
            max_items=MAX_JOBS,
            max_weight=MAX_PARAMETERS_BYTES,
            weigh=lambda submit: len(bytes(submit.parameters)),
            at_once=STATEMENTS_AT_ONCE,
        )

    async def submit(self, job: NewJob, key: IdempotencyKey | None) -> SubmitAnswer:
        """Store a job with its delivery and key; when this returns them, all are committed.

        Raises:
            DatabaseUnavailable: not stored, or not confirmed; a second submit with the same key is safe.
        """
        return await self._batches.put(Submit(job, key, jobs.encode_parameters(job)))

    async def _store(self, submits: list[Submit]) -> list[SubmitAnswer]:
        return await jobs.submit_jobs(self._db, submits, self.limits)
