"""What the machine may do next, as Hypothesis strategies over what the model knows. Not here: when (`machine`)."""

from uuid import UUID

from hypothesis import strategies as st

from jobhub.domain.jobs import JobStatus, Verb
from tests.model.operations import HoldDeliveries, Operation
from tests.model.state import LATER_SECONDS, Job, Model
from tests.model.users import OWNERS, Cancel, CleanUp, DisableOwner, ForceComplete, Pin, Retry, Submit
from tests.model.workers import QUEUES, Claim, Ending, Finish, ForgetClaims, Progress, Promote, Rescue

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
Choice = st.SearchStrategy[Operation]

KNOWN, UNKNOWN = "model.known", "model.unknown"
# Verb, status asked for, delay: all that workers report.
ENDINGS = (
    (Verb.COMPLETE, COMPLETED, 0),
    (Verb.FAIL, FAILED, 0),
    (Verb.FAIL, PENDING, LATER_SECONDS),
    (Verb.FAIL, PENDING, 0),
    (Verb.CANCEL, CANCELLED, 0),
    (Verb.RELEASE, PENDING, 0),
    (Verb.RELEASE, PENDING, LATER_SECONDS),
)
RESULTS = (None, {"found": 1}, [1, [2]], "text")


def submit(model: Model, *, later: bool = False, key: str | None = None, number: int = 0) -> Choice:
    """A job nobody submitted before; `number` tells apart those that are submitted at once."""
    return st.builds(
        Submit,
        number=st.just(model.next_number + number),
        owner_id=st.sampled_from(OWNERS),
        job_type=st.sampled_from((KNOWN, KNOWN, UNKNOWN)),
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from((0, 0, 5)),
        later_seconds=st.just(LATER_SECONDS if later else 0),
        key=st.just(key),
    )


def claim(model: Model) -> Choice:
    return st.builds(
        Claim,
        worker_id=st.sampled_from(sorted(model.leases)),
        queues=st.sampled_from((QUEUES, QUEUES, QUEUES[:1])),
        known_types=st.sampled_from(((KNOWN,), (KNOWN, UNKNOWN))),
        slots=st.sampled_from((1, 2, 10)),
    )


def job_to_deliver_again(model: Model) -> st.SearchStrategy[UUID]:
    """Often one that waits for its time: any other has a delivery, which is served first."""
    return st.sampled_from(model.waiting() or sorted(model.jobs)) | st.sampled_from(sorted(model.jobs))


def progress(model: Model, job_id: UUID) -> Choice:
    """A report of the latest attempt, or of the one before."""
    attempt = model.jobs[job_id].attempt
    return st.builds(
        Progress,
        job_id=st.just(job_id),
        attempt=st.sampled_from((attempt, attempt, max(1, attempt - 1))),
        percentage=st.sampled_from((0, 40, 80)),
        message=st.sampled_from((None, "reading", "writing")),
    )


def reports(model: Model) -> st.SearchStrategy[list[Operation]]:
    """Some reports of one job, in any order."""
    return st.sampled_from(model.with_status(RUNNING)).flatmap(lambda job_id: st.lists(progress(model, job_id), min_size=1, max_size=4))


def endings(attempts: list[tuple[UUID, int]]) -> st.SearchStrategy[Ending]:
    """An outcome of one of these attempts."""

    def ending(which: tuple[UUID, int], how: tuple[Verb, JobStatus, int], result: object) -> Ending:
        return Ending(*which, *how, result=result if how[0] is Verb.COMPLETE else None)

    return st.builds(ending, st.sampled_from(attempts), st.sampled_from(ENDINGS), st.sampled_from(RESULTS))


def finish(attempts: list[tuple[UUID, int]]) -> Choice:
    batch = st.lists(endings(attempts), min_size=1, max_size=3, unique_by=lambda ending: (ending.job_id, ending.attempt))
    return st.builds(Finish, endings=batch.map(tuple))


def running_attempts(model: Model, jobs: list[UUID]) -> list[tuple[UUID, int]]:
    return [(job_id, model.jobs[job_id].attempt) for job_id in jobs if model.jobs[job_id].status is RUNNING]


def older_attempts(model: Model, jobs: list[UUID]) -> list[tuple[UUID, int]]:
    """Attempts that ended already; at most the last two of each job."""
    return [(job_id, one.number) for job_id in jobs for one in model.jobs[job_id].attempts[-2:]]


def zombie_finish(model: Model) -> Choice:
    """Outcomes of attempts that ended, of jobs that run again if there are such, perhaps in one batch with some that count."""
    running = model.with_status(RUNNING)
    return finish(older_attempts(model, running) or older_attempts(model, sorted(model.jobs))) | finish(
        older_attempts(model, sorted(model.jobs)) + running_attempts(model, running)
    )


def cancel(model: Model, jobs: list[UUID]) -> Choice:
    """By the owner, now and then by somebody else."""
    return st.sampled_from(jobs).flatmap(
        lambda job_id: st.builds(Cancel, st.just(job_id), owner_id=st.sampled_from((*[model.jobs[job_id].owner_id] * 4, *OWNERS)))
    )


def at_once(model: Model) -> st.SearchStrategy[tuple[list[Operation], list[bool]]]:
    """Two or three operations that get in each other's way, and which of the transactions commit."""
    jobs = sorted(model.jobs)
    return _committing(st.one_of(contending(model, jobs), same_key(model), holding_deliveries(model)))


def at_once_for(model: Model, jobs: list[UUID]) -> st.SearchStrategy[tuple[list[Operation], list[bool]]]:
    """The same for one of these jobs."""
    return _committing(contending(model, jobs))


def stop_and_end(model: Model) -> st.SearchStrategy[tuple[list[Operation], list[bool]]]:
    """Somebody wants a job to stop while its attempt ends, most likely to go back to the queue."""

    def pair(which: tuple[UUID, int]) -> st.SearchStrategy[list[Operation]]:
        job_id, _ = which
        cancel = Cancel(job_id, model.jobs[job_id].owner_id)
        back = st.sampled_from([how for how in ENDINGS if how[1] is PENDING]).map(lambda how: Finish((Ending(*which, *how),)))
        return st.tuples(st.sampled_from((cancel, cancel, ForceComplete(job_id))), back | finish([which])).map(list)

    return _committing(st.sampled_from(running_attempts(model, sorted(model.jobs))).flatmap(pair))


def _committing(several: st.SearchStrategy[list[Operation]]) -> st.SearchStrategy[tuple[list[Operation], list[bool]]]:
    return st.tuples(several, st.tuples(*[st.sampled_from((True, True, False))] * 2)).map(_one_ending_fewer)


def contending(model: Model, jobs: list[UUID]) -> st.SearchStrategy[list[Operation]]:
    return st.sampled_from(jobs).flatmap(lambda job_id: st.lists(about(model, job_id), min_size=2, max_size=3))


def _one_ending_fewer(drawn: tuple[list[Operation], tuple[bool, bool]]) -> tuple[list[Operation], list[bool]]:
    operations, commits = drawn
    return operations, list(commits[: len(operations) - 1])


def same_key(model: Model) -> st.SearchStrategy[list[Operation]]:
    return st.tuples(*(submit(model, key="key", number=number) for number in (0, 1))).map(list)


def holding_deliveries(model: Model) -> st.SearchStrategy[list[Operation]]:
    """A pair only: were a third one to wait for the second, it would depend on which of the others ends first."""
    second = st.sampled_from(sorted(model.jobs)).flatmap(lambda job_id: about(model, job_id))
    return second.map(lambda operation: [HoldDeliveries(), operation])


def about(model: Model, job_id: UUID) -> Choice:
    """Anything that wants this job's row, most likely a verb that is allowed."""
    job, jobs = model.jobs[job_id], [job_id]
    rarely = st.sampled_from(
        (Rescue(), Promote(), ForceComplete(job_id), Retry(job_id), CleanUp(), Pin(job_id), DisableOwner(job.owner_id))
    )
    choices: list[Choice] = [st.just(ForceComplete(job_id)), cancel(model, jobs), rarely]
    match job.status:
        case JobStatus.PENDING:
            choices += _about_pending(model, job)
        case JobStatus.RUNNING:
            choices += [finish([(job_id, job.attempt)]), finish([(job_id, job.attempt)]), progress(model, job_id)]
            choices.append(st.just(ForgetClaims(job.worker_id)))
            if not model.has_lease(job.worker_id):
                choices += [st.just(Rescue()), st.just(Rescue())]
        case _:
            choices += [st.just(Retry(job_id)), st.just(Retry(job_id)), st.just(CleanUp()), st.just(Pin(job_id))]
    if job.attempts:
        choices.append(finish(older_attempts(model, jobs)))
    return st.one_of(choices)


def _about_pending(model: Model, job: Job) -> list[Choice]:
    if job.deliver_at is not None:
        return [st.just(Promote()), st.just(Promote()), st.just(DisableOwner(job.owner_id))]
    if model.leases:
        forget = st.sampled_from(sorted(model.leases)).map(ForgetClaims)
        return [claim(model), claim(model), forget, st.just(DisableOwner(job.owner_id))]
    return []
