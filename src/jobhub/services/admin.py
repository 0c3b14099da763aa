"""What only administrators can do with a job: finish it by hand, and keep it. Not here: clean-ups (`services.clean_up`)."""

from typing import Any
from uuid import UUID

from jobhub.domain.errors import NotFound
from jobhub.domain.jobs import Job, Verb
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob, placed, transition
from jobhub.store import jobs as store
from jobhub.store.database import Database
from jobhub.store.jobs import Act


async def force_complete(db: Database, job_id: UUID, *, result: dict[str, Any] | None, by: User, act: Act) -> PlacedJob:
    """Complete a job by hand; the outcome of an attempt that runs meanwhile is dropped.

    Raises:
        NotFound: no such job.
        IllegalTransition: it has completed already.
    """

    async def change() -> Job | None:
        return await store.force_complete_job(db, job_id, result=result, act=act)

    return await placed(db, await transition(db, job_id, Verb.FORCE_COMPLETE, by, change))


async def pin(db: Database, job_id: UUID, *, act: Act) -> PlacedJob:
    """Keep a job from every clean-up, whatever its status is and becomes. Repeating it changes nothing. Raises NotFound: no such job."""
    return await placed(db, await store.pin_job(db, job_id, act=act) or await _get(db, job_id))


async def unpin(db: Database, job_id: UUID, *, act: Act) -> PlacedJob:
    """Let clean-ups have a job again. Repeating it changes nothing. Raises NotFound: no such job."""
    return await placed(db, await store.unpin_job(db, job_id, act=act) or await _get(db, job_id))


async def _get(db: Database, job_id: UUID) -> Job:
    job = await store.get_job(db, job_id, owner_id=None)
    if job is None:
        raise NotFound("job", job_id)
    return job
