"""Jobs as workers move them: one function per statement of sql/queries/dispatch.sql and workers.sql."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record

from jobhub.domain.job_types import Registry
from jobhub.domain.jobs import ClaimedJob, JobStatus, Outcome
from jobhub.store.database import Connection

BATCH = 1000  # what promote_jobs, rescue_jobs and forget_claims take at most

# Settings of the connections these statements run on. What is small here is an array of ids, and each of them one look-up by primary
# key. Planning anew costs a lone claim more than running it, so a plan is made once and kept; one made while the tables were empty
# must not become a scan of millions (tests/contract/test_plans.py).
PLANNER_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself each time it renews its lease."""

    worker_id: UUID
    host: str
    pid: int
    version: str
    queues: list[str]
    concurrency: int
    loop_lag_ms: int
    stopping: bool


class Recorded(msgspec.Struct, frozen=True):
    """An outcome the database accepted, and the status the job has now."""

    job_id: UUID
    attempt: int
    status: JobStatus


class RunningJob(msgspec.Struct, frozen=True):
    """A job the database says a worker runs."""

    job_id: UUID
    attempt: int
    cancel_requested: bool


async def promote_jobs(db: Connection) -> int:
    """Give a batch of due jobs their delivery; how many."""
    row = await db.fetch_row("promote_jobs")
    return int(row["promoted"]) if row else 0


class Place(NamedTuple):
    """Where a delivery stands among those that wait: `rank` is the priority with its sign turned, so that less is better."""

    rank: int
    delivery_id: int


FRONT = Place(-(2**31), 0)


class Claim(msgspec.Struct, frozen=True):
    """What one claim took: the started jobs, best first; how many deliveries, those that did nothing included; the last one's place.

    `held` is how many of the deliveries are held now, because their owners have enough running.
    """

    jobs: list[ClaimedJob]
    taken: int
    last: Place | None
    held: int = 0


async def claim_jobs(
    db: Connection,
    *,
    worker_id: UUID,
    queues: Sequence[str],
    known_types: Sequence[str],
    slots: int,
    after: Place = FRONT,
    max_running: int = 0,
) -> Claim:
    """Start up to `slots` jobs, best first, of those behind `after`; no user has more than `max_running` running then, unless that is 0.

    Fewer jobs than deliveries means that more may be waiting behind: claim again.
    """
    given = {
        "worker_id": worker_id,
        "queues": list(queues),
        "known_types": list(known_types),
        "slots": slots,
        "after_rank": after.rank,
        "after_id": after.delivery_id,
    }
    if max_running:
        rows = await db.fetch("claim_jobs_within_limit", **given, max_running=max_running)
    else:
        rows = await db.fetch("claim_jobs", **given)
    first, held = rows[0], rows[0]["held"] if max_running else 0
    if not first["id"]:
        return Claim([], first["taken"], None, held)
    return Claim([_claimed(row) for row in rows], first["taken"], Place(rows[-1]["rank"], rows[-1]["delivery_id"]), held)


async def unhold_deliveries(db: Connection, *, max_running: int) -> tuple[int, bool]:
    """Let a batch of held deliveries go, of users with room; how many, and whether some may still be held."""
    row = await db.fetch_row("unhold_deliveries", max_running=max_running)
    assert row is not None  # the function returns one row
    return int(row["let_go"]), bool(row["are_left"])


def _claimed(row: Record) -> ClaimedJob:
    return ClaimedJob(
        id=row["id"],
        owner_id=row["owner_id"],
        job_type=row["job_type"],
        attempt=row["attempt"],
        failed_attempts=row["failed_attempts"],
        lost_attempts=row["lost_attempts"],
        max_attempts=row["max_attempts"],
        parameters=row["parameters"],
    )


async def report_progress(db: Connection, *, job_id: UUID, attempt: int, percentage: int, message: str | None) -> bool:
    """Record progress; False if the attempt is over or nothing changed."""
    row = await db.fetch_row("report_progress", job_id=job_id, attempt=attempt, percentage=percentage, message=message)
    return row is not None


async def finish_jobs(db: Connection, outcomes: Sequence[Outcome]) -> list[Recorded]:
    """Record outcomes in one transaction; those that are missing from the answer were fenced off."""
    # Two statements that share jobs lock them in one order: a zombie's must not deadlock with its successor's.
    outcomes = sorted(outcomes, key=attrgetter("job_id"))
    rows = await db.fetch(
        "finish_jobs",
        job_ids=[outcome.job_id for outcome in outcomes],
        attempts=[outcome.attempt for outcome in outcomes],
        outcomes=[outcome.outcome for outcome in outcomes],
        statuses=[outcome.status for outcome in outcomes],
        results=[_one_value(outcome.result) for outcome in outcomes],
        error_codes=[outcome.error_code for outcome in outcomes],
        error_messages=[outcome.error_message for outcome in outcomes],
        tracebacks=[outcome.traceback for outcome in outcomes],
        delays_seconds=[outcome.delay_seconds for outcome in outcomes],
    )
    return _recorded(rows)


def _one_value(result: Any) -> msgspec.Raw | None:
    """A result asyncpg takes for one element of an array: it would make another dimension of a result that is a list."""
    return result if result is None or isinstance(result, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(result))


async def rescue_jobs(db: Connection) -> list[Recorded]:
    """Take a batch of running jobs from lost workers."""
    return _recorded(await db.fetch("rescue_jobs"))


def _recorded(rows: list[Record]) -> list[Recorded]:
    return [Recorded(row["job_id"], row["attempt"], JobStatus(row["status"])) for row in rows]


async def list_running_jobs(db: Connection, worker_id: UUID) -> list[RunningJob]:
    """What the database says a worker runs."""
    rows = await db.fetch("list_running_jobs", worker_id=worker_id)
    return [RunningJob(row["job_id"], row["attempt"], row["cancel_requested"]) for row in rows]


async def forget_claims(db: Connection, worker_id: UUID) -> int:
    """Forget a batch of claims of which nothing runs any more; how many."""
    row = await db.fetch_row("forget_claims", worker_id=worker_id)
    return int(row["forgotten"]) if row else 0


async def renew_lease(db: Connection, worker: WorkerRow) -> datetime:
    """Register the worker or renew its lease; until when, by the database's clock."""
    row = await db.fetch_row("renew_lease", **msgspec.structs.asdict(worker))
    assert row is not None  # an upsert always returns its row
    lease_until: datetime = row["lease_until"]
    return lease_until


async def remove_worker(db: Connection, worker_id: UUID) -> None:
    """Take a stopped worker off the list."""
    await db.execute("remove_worker", worker_id=worker_id)


async def publish_job_types(db: Connection, registry: Registry) -> None:
    """Say which job types this worker knows."""
    known = list(registry)
    await db.execute(
        "publish_job_types",
        names=[job_type.name for job_type in known],
        queues=[job_type.queue for job_type in known],
        audiences=[job_type.audience.value for job_type in known],
        max_attempts=[job_type.retry.max_attempts for job_type in known],
        timeouts_seconds=[job_type.timeout_seconds for job_type in known],
        summaries=[job_type.summary for job_type in known],
        parameters_schemas=[msgspec.json.schema(job_type.parameters) for job_type in known],
    )


async def remove_dead_workers(db: Connection) -> int:
    """Forget a batch of workers that died more than a day ago; how many."""
    row = await db.fetch_row("remove_dead_workers")
    return int(row["removed"]) if row else 0


async def count_live_workers(db: Connection) -> int:
    """How many workers can take jobs now."""
    row = await db.fetch_row("count_live_workers")
    return int(row["live"]) if row else 0
