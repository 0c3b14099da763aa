"""Pages of jobs with any mix of filters, and how many there are.

SQLAlchemy Core composes the SELECT, asyncpg runs it: one pool, one driver (docs/decisions/0002-one-pool.md). Rows are wide: those on a page
are found by their ids first, in indexes alone where there is one for the filter (`store.matching`), and only then read.
Not here: statements without optional parts; those stand in sql/queries/.
"""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from jobhub.domain.jobs import Job, JobStatus
from jobhub.store.database import Database
from jobhub.store.jobs import job_from
from jobhub.store.matching import JOBS, JobFilter, Place, asks_for_few, deliveries, in_order, matching

MAX_TOTAL = 10_000  # beyond this a total is capped: counting further costs more than it tells
_MANY_PENDING = 10_000  # to look so many up takes some tens of milliseconds
_MANY_OTHERS = 50_000  # to count so many in an index takes some ten milliseconds

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
_USERS = sa.table("users", sa.column("id", postgresql.UUID()), sa.column("email", sa.Text()))


class OwnedJob(msgspec.Struct, frozen=True):
    """A job and its owner's e-mail address."""

    job: Job
    owner_email: str


class Count(NamedTuple):
    """How many, exact up to `MAX_TOTAL`, and whether there are more."""

    jobs: int
    is_capped: bool


async def list_jobs(db: Database, where: JobFilter, *, offset: int, limit: int, after: Place | None) -> list[OwnedJob]:
    """Jobs in the order of the filter: `limit` of them from `offset`, or those that come after the one at `after` (its created_at and id).

    Raises:
        FilterTooBroad: no index leads to them, and the walk took too long.
    """
    chosen = await _chosen(db, where, offset=offset, limit=limit, after=after)
    statement = (
        sa.select(sa.text("jobs.*"), _USERS.c.email.label("owner_email"))
        .select_from(chosen.join(JOBS, JOBS.c.id == chosen.c.id).join(_USERS, _USERS.c.id == JOBS.c.owner_id))
        .order_by(*in_order(where, chosen.c.created_at, chosen.c.id))
    )
    rows = await db.fetch_composed(*_compiled(statement))
    return [OwnedJob(job_from(row), row["owner_email"]) for row in rows]


async def list_job_ids(db: Database, where: JobFilter, *, limit: int) -> list[UUID]:
    """The first ids of `list_jobs`. Raises FilterTooBroad."""
    chosen = await _chosen(db, where, offset=0, limit=limit, after=None)
    rows = await db.fetch_composed(*_compiled(sa.select(chosen.c.id).order_by(*in_order(where, chosen.c.created_at, chosen.c.id))))
    return [row["id"] for row in rows]


async def _chosen(db: Database, where: JobFilter, *, offset: int, limit: int, after: Place | None) -> sa.Subquery:
    """`id` and `created_at` of a page, found in indexes."""
    parts = matching(where, after=after, are_many_pending=await _are_many_pending(db, where))
    if len(parts) > 1:
        found = sa.union_all(*(part.limit(offset + limit).subquery().select() for part in parts)).subquery()
        page = sa.select(found.c.id, found.c.created_at).order_by(*in_order(where, found.c.created_at, found.c.id))
    else:
        [page] = parts
    return page.limit(limit).offset(offset).subquery("chosen")


async def count_jobs(db: Database, where: JobFilter) -> Count:
    """How many jobs match.

    Raises:
        FilterTooBroad: no index leads to them, and the walk took too long.
    """
    total = await _count_less_others(db, where)
    if total is None:
        total = await _count(db, matching(where, after=None, are_many_pending=await _are_many_pending(db, where)), MAX_TOTAL + 1)
    return Count(min(total, MAX_TOTAL), total > MAX_TOTAL)


async def count_jobs_of(db: Database, owner_id: UUID) -> dict[JobStatus | None, Count | None]:
    """A user's jobs by status, and under None all of them; None for completed ones where counting them would take long."""
    row = await db.fetch_row("count_jobs_of_owner", owner_id=owner_id, at_most=MAX_TOTAL + 1, at_most_others=_MANY_OTHERS)
    assert row is not None  # a SELECT of aggregates
    found: dict[JobStatus | None, int | None] = {None: row["total"], **{status: row[status.value] for status in JobStatus}}
    return {status: None if jobs is None else Count(min(jobs, MAX_TOTAL), jobs > MAX_TOTAL) for status, jobs in found.items()}


async def _count_less_others(db: Database, where: JobFilter) -> int | None:
    """All that match but for their status, which an index alone counts, less those of other statuses. None where that is no better."""
    statuses = set(JobStatus) - set(where.statuses)
    if JobStatus.COMPLETED not in where.statuses or not statuses or where.text or where.worker_id or where.error_code:
        return None
    others = msgspec.structs.replace(where, statuses=tuple(status for status in JobStatus if status in statuses))
    if await _are_many_pending(db, others):
        return None
    found = _counting(matching(others, after=None, are_many_pending=False), sa.literal(_MANY_OTHERS)).cte("others")
    any_status = matching(msgspec.structs.replace(where, statuses=()), after=None, are_many_pending=False)
    up_to = sa.literal(MAX_TOTAL + 1) + sa.select(found.c.total).scalar_subquery()
    counted = sa.select(found.c.total.label("others"), _counting(any_status, up_to).scalar_subquery().label("total"))
    [row] = await db.fetch_composed(*_compiled(counted))
    return row["total"] - row["others"] if row["others"] < _MANY_OTHERS else None


async def _are_many_pending(db: Database, where: JobFilter) -> bool:
    if not asks_for_few(where, JobStatus.PENDING):
        return False
    of_owner = JOBS.c.owner_id == where.owner_id if where.owner_id else sa.true()
    scheduled = sa.select(JOBS.c.id).where(JOBS.c.deliver_at.is_not(None), of_owner)
    return await _count(db, [deliveries(where.owner_id), scheduled], _MANY_PENDING + 1) > _MANY_PENDING


async def _count(db: Database, parts: list[sa.Select[Any]], at_most: int) -> int:
    [row] = await db.fetch_composed(*_compiled(_counting(parts, sa.literal(at_most))))
    return int(row["total"])


def _counting(parts: list[sa.Select[Any]], at_most: sa.ColumnElement[int]) -> sa.Select[Any]:
    """A SELECT of how many rows the parts have together. Each keeps its order and its limit, so that none is sorted or read as a whole."""
    counted = sa.union_all(*(part.limit(at_most).subquery().select() for part in parts)).limit(at_most).subquery("counted")
    return sa.select(sa.func.count().label("total")).select_from(counted)


def _compiled(statement: sa.Select[Any]) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return compiled.string, [compiled.params[name] for name in compiled.positiontup or ()]
