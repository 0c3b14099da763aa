"""Pages of jobs with any mix of filters.

SQLAlchemy Core composes the SELECT, asyncpg runs it: one pool, one driver (docs/decisions/0002-one-pool.md).
Not here: statements without optional parts; those stand in sql/queries/.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from jobhub.domain.jobs import Job, JobStatus
from jobhub.store.database import Database
from jobhub.store.jobs import job_from

MAX_TOTAL = 10_000  # beyond this a total is capped: counting further costs more than it tells

MAX_COUNTED = 2_000  # of a user's jobs by status; each of them is read for it

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
_STATUS = postgresql.ENUM(*(status.value for status in JobStatus), name="job_status", create_type=False)

JOBS = sa.table(
    "jobs",
    sa.column("id", postgresql.UUID()),
    sa.column("owner_id", postgresql.UUID()),
    sa.column("job_type", sa.Text()),
    sa.column("title", sa.Text()),
    sa.column("tags", postgresql.ARRAY(sa.Text())),
    sa.column("status", _STATUS),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("worker_id", postgresql.UUID()),
)
USERS = sa.table("users", sa.column("id", postgresql.UUID()), sa.column("email", sa.Text()))


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: every part that is set must hold. `statuses` and `job_types` are any-of, `tags` all-of.

    `created_after` is inclusive, `created_before` exclusive; `text` is looked for in titles, without case, literally.
    """

    owner_id: UUID | None = None
    owner_email: str | None = None
    statuses: tuple[JobStatus, ...] = ()
    job_types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    worker_id: UUID | None = None
    text: str | None = None


class OwnedJob(msgspec.Struct, frozen=True):
    """A job and its owner's e-mail address."""

    job: Job
    owner_email: str


async def list_jobs(db: Database, where: JobFilter, *, offset: int, limit: int, after: tuple[datetime, UUID] | None) -> list[OwnedJob]:
    """Jobs, newest first: `limit` of them from `offset`, or those older than the job at `after` (its created_at and id)."""
    statement = (
        sa.select(sa.text("jobs.*"), USERS.c.email.label("owner_email"))
        .select_from(JOBS.join(USERS, USERS.c.id == JOBS.c.owner_id))
        .where(*_conditions(where))
        .order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    if after:
        created_at, job_id = after
        statement = statement.where(
            sa.tuple_(JOBS.c.created_at, JOBS.c.id)
            < sa.tuple_(sa.literal(created_at, sa.DateTime(timezone=True)), sa.literal(job_id, postgresql.UUID()))
        )
    rows = await db.fetch_composed(*_compiled(statement))
    return [OwnedJob(job_from(row), row["owner_email"]) for row in rows]


async def count_jobs(db: Database, where: JobFilter) -> tuple[int, bool]:
    """How many jobs match, exact up to `MAX_TOTAL`, and whether there are more."""
    source = JOBS.join(USERS, USERS.c.id == JOBS.c.owner_id) if where.owner_email else JOBS
    matching = sa.select(sa.literal_column("1")).select_from(source).where(*_conditions(where)).limit(MAX_TOTAL + 1).subquery("matching")
    statement = sa.select(sa.func.count().label("total")).select_from(matching)
    total = int((await db.fetch_composed(*_compiled(statement)))[0]["total"])
    return min(total, MAX_TOTAL), total > MAX_TOTAL


async def count_newest_jobs(db: Database, owner_id: UUID) -> dict[JobStatus, int]:
    """A user's `MAX_COUNTED` newest jobs by status; one that none has is absent."""
    rows = await db.fetch("count_newest_jobs_of_owner", owner_id=owner_id, limit=MAX_COUNTED)
    return {JobStatus(row["status"]): row["jobs"] for row in rows}


def _conditions(where: JobFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if where.owner_id:
        conditions.append(JOBS.c.owner_id == where.owner_id)
    if where.owner_email:
        conditions.append(sa.func.lower(USERS.c.email) == sa.func.lower(where.owner_email))
    if where.statuses:
        conditions.append(JOBS.c.status.in_([status.value for status in where.statuses]))
    if where.job_types:
        conditions.append(JOBS.c.job_type.in_(where.job_types))
    if where.tags:
        conditions.append(JOBS.c.tags.contains(list(where.tags)))
    if where.created_after:
        conditions.append(JOBS.c.created_at >= where.created_after)
    if where.created_before:
        conditions.append(JOBS.c.created_at < where.created_before)
    if where.worker_id:
        conditions.append(JOBS.c.worker_id == where.worker_id)
    if where.text:
        conditions.append(JOBS.c.title.icontains(where.text, autoescape=True))
    return conditions


def _compiled(statement: sa.Select[Any]) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return compiled.string, [compiled.params[name] for name in compiled.positiontup or ()]
