"""What the owner of a job, or an administrator in their place, can do with it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import uuid_utils.compat

from jobhub.domain.errors import (
    AdminOnlyJobType,
    DatabaseUnavailable,
    FieldError,
    IllegalTransition,
    InvalidInput,
    KeyReused,
    NotFound,
    SubmitRateExceeded,
    Throttled,
    TooManyPendingJobs,
)
from jobhub.domain.job_types import Audience, Registry
from jobhub.domain.jobs import Attempt, Job, JobStatus, Verb
from jobhub.domain.lifecycle import is_allowed
from jobhub.domain.limits import Limits
from jobhub.domain.submission import Submission
from jobhub.domain.users import User
from jobhub.store import jobs as store
from jobhub.store.database import Database
from jobhub.store.jobs import Act, IdempotencyKey, QueuePlace, Refused
from jobhub.store.submissions import Submissions

# Between a refused transition and the look at why, the job may have moved on to where the transition is allowed.
_TRIES = 5


class PlacedJob(msgspec.Struct, frozen=True):
    """A job with its place in the queue, which only a pending one has."""

    job: Job
    place: QueuePlace | None


class Submitted(msgspec.Struct, frozen=True):
    """The answer to a submit: the new job, or, if its key was used before, the job that key stands for, as it is now."""

    placed: PlacedJob
    is_replay: bool


async def submit(
    db: Database, submissions: Submissions, registry: Registry, *, owner: User, submission: Submission, key: IdempotencyKey | None = None
) -> Submitted:
    """Store a job so that a worker will run it. When this returns, it is committed.

    Raises:
        AdminOnlyJobType: the owner is no administrator and the type is for them.
        InvalidInput: the type is not known (any more).
        KeyReused: the key stands for a request with another body.
        NotFound: the job the key stands for was cleaned up.
        SubmitRateExceeded, TooManyPendingJobs: a limit of the owner; the key is not used up.
    """
    job_type = registry.get(submission.job_type)
    if job_type is None:
        raise InvalidInput([FieldError("/job_type", "there is no such job type")])
    if job_type.audience is Audience.ADMIN and not owner.is_admin:
        raise AdminOnlyJobType(job_type.name)
    new_job = store.NewJob(
        id=uuid_utils.compat.uuid7(),
        owner_id=owner.id,
        queue=job_type.queue,
        max_attempts=job_type.retry.max_attempts,
        **msgspec.structs.asdict(submission),
    )
    for _ in range(_TRIES):
        answer = await submissions.submit(new_job, key)
        if isinstance(answer, Refused):
            raise _limit_error(answer, submissions.limits)
        if answer:
            return Submitted(PlacedJob(*answer), is_replay=False)
        assert key is not None  # without one there is an answer
        if found := await store.find_idempotency_key(db, owner.id, key.key):
            job_id, body_sha256 = found
            if body_sha256 != key.body_sha256:
                raise KeyReused(key.key)
            return Submitted(await get(db, job_id, by=owner), is_replay=True)
    raise DatabaseUnavailable  # the key expired between the two looks, again and again: a clock that runs wild


def _limit_error(refused: Refused, limits: Limits) -> Throttled:
    if refused.code == SubmitRateExceeded.code:
        return SubmitRateExceeded(limits.submits_per_minute, refused.retry_after_seconds)
    return TooManyPendingJobs(limits.pending_jobs, refused.retry_after_seconds)


async def get(db: Database, job_id: UUID, *, by: User) -> PlacedJob:
    """One job. Raises NotFound if there is none, or it is not `by`'s to see."""
    return await placed(db, await _visible(db, job_id, by))


async def list_attempts(db: Database, job_id: UUID, *, by: User) -> list[Attempt]:
    """All attempts of a job, in order; tracebacks only for administrators. Raises NotFound as `get`."""
    await _visible(db, job_id, by)
    attempts = await store.list_attempts(db, job_id)
    return attempts if by.is_admin else [msgspec.structs.replace(attempt, traceback=None) for attempt in attempts]


async def cancel(db: Database, job_id: UUID, *, by: User, act: Act) -> PlacedJob:
    """Cancel a pending job at once; ask a running one to stop. Repeating it changes nothing.

    Raises:
        NotFound: as `get`.
        IllegalTransition: the job has completed or failed.
    """

    async def change() -> Job | None:
        return await store.cancel_job(db, job_id, owner_id=scope_of(by), act=act)

    return await placed(db, await transition(db, job_id, Verb.CANCEL, by, change, unchanged=_was_cancelled))


def _was_cancelled(job: Job) -> bool:
    return job.status is JobStatus.CANCELLED or (job.status is JobStatus.RUNNING and job.cancel_requested_at is not None)


async def retry(db: Database, job_id: UUID, *, by: User, act: Act) -> PlacedJob:
    """Put a failed or cancelled job back in the queue.

    Raises:
        NotFound: as `get`.
        IllegalTransition: the job is neither failed nor cancelled.
    """

    async def change() -> Job | None:
        return await store.retry_job(db, job_id, owner_id=scope_of(by), act=act)

    return await placed(db, await transition(db, job_id, Verb.RETRY, by, change))


async def transition(
    db: Database,
    job_id: UUID,
    verb: Verb,
    by: User,
    change: Callable[[], Awaitable[Job | None]],
    *,
    unchanged: Callable[[Job], bool] = lambda _job: False,
) -> Job:
    """Try the guarded statement; if it changes nothing, find out why.

    `unchanged` says of which jobs the verb has nothing left to do. The statement decides, the look afterwards only explains, so
    a job that moves in between is tried again.
    """
    for _ in range(_TRIES):
        if changed := await change():
            return changed
        job = await _visible(db, job_id, by)
        if unchanged(job):
            return job
        if not is_allowed(verb, job.status):
            break
    raise IllegalTransition(job.id, verb, job.status)


async def placed(db: Database, job: Job) -> PlacedJob:
    """A job with its place in the queue."""
    return (await all_placed(db, [job]))[0]


async def all_placed(db: Database, jobs: list[Job]) -> list[PlacedJob]:
    """Jobs, in the same order, with their places in the queue."""
    pending = [job.id for job in jobs if job.status is JobStatus.PENDING]
    places = await store.queue_places(db, pending) if pending else {}
    return [PlacedJob(job, places.get(job.id)) for job in jobs]


async def _visible(db: Database, job_id: UUID, by: User) -> Job:
    job = await store.get_job(db, job_id, owner_id=scope_of(by))
    if job is None:
        raise NotFound("job", job_id)
    return job


def scope_of(by: User) -> UUID | None:
    """Whose jobs a user may see and change: an administrator everybody's."""
    return None if by.is_admin else by.id


def describe(registry: Registry, *, by: User) -> list[dict[str, Any]]:
    """The job types a user may submit, by name, as the contract shows them."""
    return [_description(job_type) for job_type in registry if job_type.audience is Audience.USER or by.is_admin]


def _description(job_type: Any) -> dict[str, Any]:
    schema = msgspec.json.schema(job_type.parameters)
    return {
        "name": job_type.name,
        "summary": job_type.summary,
        "queue": job_type.queue,
        "audience": job_type.audience,
        "timeout_seconds": job_type.timeout_seconds,
        "retry": {"max_attempts": job_type.retry.max_attempts},
        "parameters_schema": schema,
        "defaults": {name: value for name, value in _defaults(job_type.parameters) if value is not msgspec.UNSET},
    }


def _defaults(parameters: type[msgspec.Struct]) -> Iterator[tuple[str, Any]]:
    """What a job runs with where a parameter is left out; UNSET where leaving it out is a value of its own."""
    for field in msgspec.structs.fields(parameters):
        if not field.required:
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            yield field.encode_name, default if default is msgspec.UNSET else msgspec.to_builtins(default)
