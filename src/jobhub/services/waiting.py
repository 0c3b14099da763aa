"""Reading one job: at once, or as soon as there is news of it. Not here: how a client says what it knows already (`web.conditional`)."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from jobhub.domain.errors import NotFound
from jobhub.domain.jobs import Job
from jobhub.domain.users import User
from jobhub.services.accounts import active_user
from jobhub.services.jobs import scope_of
from jobhub.store.live import Live, Marks, mark_of
from jobhub.store.users import Accounts


async def read(live: Live, job_id: UUID, *, by: User) -> Job:
    """One job. Raises NotFound if there is none, or it is not `by`'s to see."""
    job = await live.read(job_id, owner_id=scope_of(by))
    if job is None:
        raise NotFound("job", job_id)
    return job


async def read_news(
    live: Live, users: Accounts, job_id: UUID, *, by: User, is_known: Callable[[int], bool] | None, within_seconds: float
) -> Job:
    """One job once it has a version that is not known or, if nothing is said of versions, once it is finished; after the time as it is.

    Raises:
        NotFound: as `read`, or it was deleted meanwhile.
        Unauthenticated: the user was disabled meanwhile.
    """
    job = await read(live, job_id, by=by)
    before = now = {job.id: mark_of(job)}
    ends_at = asyncio.get_running_loop().time() + within_seconds
    while _is_awaited(now, is_known):
        later = await live.jobs.until_changed(job_id, now, seconds=ends_at - asyncio.get_running_loop().time())
        if later == now:
            break
        now = later
    if now == before:
        return job
    async with live.turns:
        return await read(live, job_id, by=await active_user(users, by.id))


def _is_awaited(marks: Marks, is_known: Callable[[int], bool] | None) -> bool:
    """Whether there is a job, and no news of it yet."""
    return any(is_known(mark.version) if is_known else not mark.is_finished for mark in marks.values())
