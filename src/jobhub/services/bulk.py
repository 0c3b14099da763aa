"""The same verb for many jobs at once, each by the rules of one: what can't be done is told and stops none of the others."""

from uuid import UUID

import msgspec

from jobhub.domain.errors import IllegalTransition, NotFound
from jobhub.domain.jobs import Verb
from jobhub.domain.users import User
from jobhub.services import jobs
from jobhub.store.database import Database
from jobhub.store.jobs import Act

MAX_JOBS = 100  # of one request; each is a statement of its own
VERBS = (Verb.CANCEL, Verb.RETRY)


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How many it was done to, and what was wrong with each of the others."""

    verb: Verb
    done: int
    refused: dict[UUID, str]


async def act_on_all(db: Database, job_ids: list[UUID], verb: Verb, *, by: User, act: Act) -> BulkOutcome:
    """Cancel or retry each of the jobs that `by` may see, in order. An outage ends it: what was done stays so, and repeating it is safe."""
    do = {Verb.CANCEL: jobs.cancel, Verb.RETRY: jobs.retry}[verb]
    refused: dict[UUID, str] = {}
    for job_id in job_ids:
        try:
            await do(db, job_id, by=by, act=act)
        except IllegalTransition as error:
            refused[job_id] = f"is {error.status.value}"
        except NotFound:
            refused[job_id] = "is not there any more"
    return BulkOutcome(verb=verb, done=len(job_ids) - len(refused), refused=refused)
