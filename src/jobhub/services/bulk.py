"""The same verb for many jobs at once, each by the rules of one: what can't be done is told and stops none of the others."""

import asyncio
from uuid import UUID

import msgspec

from jobhub.domain.errors import IllegalTransition, NotFound
from jobhub.domain.jobs import JobStatus, Verb
from jobhub.domain.users import User
from jobhub.services import jobs
from jobhub.store import listing as store
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.matching import JobFilter

MAX_JOBS = 1000  # of one request; each is a transaction of its own
VERBS = (Verb.CANCEL, Verb.RETRY)
_AT_ONCE = 4  # of a pool of ten connections: others want some too
_TO_DO = {  # a cancelled job may be cancelled again, which changes nothing
    Verb.CANCEL: (JobStatus.PENDING, JobStatus.RUNNING),
    Verb.RETRY: (JobStatus.FAILED, JobStatus.CANCELLED),
}


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How many it was done to, and what was wrong with each of the others."""

    verb: Verb
    done: int
    refused: dict[UUID, str]


async def find(db: Database, where: JobFilter, verb: Verb) -> list[UUID]:
    """At most `MAX_JOBS` of the jobs that match and are in a state to cancel or retry, in the order of the list. Raises FilterTooBroad."""
    wanted = tuple(status for status in _TO_DO[verb] if not where.statuses or status in where.statuses)
    return await store.list_job_ids(db, msgspec.structs.replace(where, statuses=wanted), limit=MAX_JOBS) if wanted else []


async def act_on_all(db: Database, job_ids: list[UUID], verb: Verb, *, by: User, act: Act) -> BulkOutcome:
    """Cancel or retry each of the jobs that `by` may see, some at a time.

    An outage ends it: what was done stays so, and repeating it is safe.
    """
    refused: dict[UUID, str] = {}
    for start in range(0, len(job_ids), _AT_ONCE):
        batch = job_ids[start : start + _AT_ONCE]
        # All of a batch have ended before anything is raised: none goes on unseen.
        answers = await asyncio.gather(*(_refusal(db, job_id, verb, by=by, act=act) for job_id in batch), return_exceptions=True)
        for job_id, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            if answer:
                refused[job_id] = answer
    return BulkOutcome(verb=verb, done=len(job_ids) - len(refused), refused=refused)


async def _refusal(db: Database, job_id: UUID, verb: Verb, *, by: User, act: Act) -> str | None:
    """Why it could not be done, or None."""
    do = {Verb.CANCEL: jobs.cancel, Verb.RETRY: jobs.retry}[verb]
    try:
        await do(db, job_id, by=by, act=act)
    except IllegalTransition as error:
        return f"is {error.status.value}"
    except NotFound:
        return "is not there any more"
    return None
