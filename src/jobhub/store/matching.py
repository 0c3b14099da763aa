"""Which jobs match a filter: SELECTs that follow an index each (docs/decisions/0020-lists.md).

A database with millions of jobs must not be walked to find a few of them, and no index may mention a job's status, which would make each
claim and finish dearer. So each status is looked for where those who have it are known: failed and cancelled in the column that says only
that, running in `claims`, pending among the deliveries and by the time of the next one. Completed jobs alone are walked to: most jobs are.
Not here: running them, and what is made of the rows (`store.listing`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from jobhub.domain.jobs import JobStatus

_UUID = postgresql.UUID()
_TIME = sa.DateTime(timezone=True)
_STATUS = postgresql.ENUM(*(status.value for status in JobStatus), name="job_status", create_type=False)
_MAX_TYPES = 20  # each is planned and started; beyond that, walking costs no more

JOBS = sa.table(
    "jobs",
    sa.column("id", _UUID),
    sa.column("owner_id", _UUID),
    sa.column("job_type", sa.Text()),
    sa.column("title", sa.Text()),
    sa.column("tags", postgresql.ARRAY(sa.Text())),
    sa.column("status", _STATUS),
    sa.column("unsuccessful_status", _STATUS),
    sa.column("error_code", sa.Text()),
    sa.column("deliver_at", _TIME),
    sa.column("created_at", _TIME),
    sa.column("worker_id", _UUID),
)
_TAGGED = sa.table(
    "tagged_jobs", sa.column("owner_id", _UUID), sa.column("tag", sa.Text()), sa.column("created_at", _TIME), sa.column("job_id", _UUID)
)
_SAME = {"id": "job_id", "owner_id": "owner_id", "created_at": "created_at"}  # columns of jobs, and of tagged_jobs
_DELIVERIES = sa.table("procrastinate_jobs", sa.column("args", postgresql.JSONB()), sa.column("owner_id", _UUID))


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: every part that is set must hold. `statuses` and `job_types` are any-of, `tags` all-of.

    `created_after` is inclusive, `created_before` exclusive; `text` is looked for in titles, without case, literally. `oldest_first` is the
    order of the list.
    """

    owner_id: UUID | None = None
    statuses: tuple[JobStatus, ...] = ()
    job_types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    worker_id: UUID | None = None
    error_code: str | None = None
    text: str | None = None
    oldest_first: bool = False


Place = tuple[datetime, UUID]  # of a job in a list: its created_at and id
_Conditions = list[sa.ColumnElement[bool]]


def matching(where: JobFilter, *, after: Place | None, are_many_pending: bool) -> list[sa.Select[Any]]:
    """SELECTs of `id` and `created_at`, in the order of the list, of different jobs each.

    Together they are those that match, and come after that place.
    Pending jobs are looked up one by one, unless there are too many for that: then they are walked to.
    """
    by_status = _by_status(where, are_many_pending)
    by_type = _by_type(where, is_split=len(by_status) == 1 and not where.tags)
    return [_select(where, after, [*of_status, *of_type]) for of_status in by_status for of_type in by_type]


def asks_for_few(where: JobFilter, status: JobStatus) -> bool:
    """Whether a list of this status is worth more than a walk: not among completed ones, which are everywhere."""
    return status in where.statuses and JobStatus.COMPLETED not in where.statuses


def deliveries(owner_id: UUID | None) -> sa.Select[Any]:
    """The ids of jobs that have deliveries; some may be pending no more. Older versions made deliveries that don't say whose they are."""
    job_id = _DELIVERIES.c.args["job_id"].astext.cast(_UUID).label("job_id")
    of_owner = sa.or_(_DELIVERIES.c.owner_id == owner_id, _DELIVERIES.c.owner_id.is_(None)) if owner_id else sa.true()
    return sa.select(job_id).where(of_owner)


def _by_status(where: JobFilter, are_many_pending: bool) -> list[_Conditions]:
    if not where.statuses or set(where.statuses) == set(JobStatus):
        return [[]]
    if JobStatus.COMPLETED in where.statuses or (JobStatus.PENDING in where.statuses and are_many_pending):
        return [[JOBS.c.status.in_([status.value for status in where.statuses])]]
    return [conditions for status in dict.fromkeys(where.statuses) for conditions in _of_status(status, where.owner_id)]


def _of_status(status: JobStatus, owner_id: UUID | None) -> list[_Conditions]:
    has_it = JOBS.c.status == status.value
    match status:
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return [[JOBS.c.unsuccessful_status == status.value]]
        case JobStatus.RUNNING:
            return [[has_it, _is_one_of(sa.text("SELECT unnest(claims.job_ids) FROM claims"))]]
        case JobStatus.PENDING:  # with a delivery, or with the time of one (jobs_delivery_check)
            return [
                [has_it, JOBS.c.deliver_at.is_(None), _is_one_of(deliveries(owner_id))],
                [has_it, JOBS.c.deliver_at.is_not(None)],
            ]
        case _:
            return [[has_it]]


def _is_one_of(ids: sa.Select[Any] | sa.TextClause) -> sa.ColumnElement[bool]:
    """An array, because PostgreSQL looks its elements up one by one: of a subquery it might make a walk over all jobs."""
    return JOBS.c.id == sa.any_(sa.func.array(ids.scalar_subquery() if isinstance(ids, sa.Select) else ids))


def _by_type(where: JobFilter, *, is_split: bool) -> list[_Conditions]:
    types = tuple(dict.fromkeys(where.job_types))
    if is_split and 1 < len(types) <= _MAX_TYPES:
        return [[JOBS.c.job_type == job_type] for job_type in types]
    return [[JOBS.c.job_type == types[0]]] if len(types) == 1 else [[JOBS.c.job_type.in_(types)] if types else []]


def _select(where: JobFilter, after: Place | None, of_part: _Conditions) -> sa.Select[Any]:
    of_jobs = [*of_part]
    if where.worker_id:
        of_jobs.append(JOBS.c.worker_id == where.worker_id)
    if where.error_code:
        of_jobs.append(JOBS.c.error_code == where.error_code)
    if where.text:
        of_jobs.append(JOBS.c.title.icontains(where.text, autoescape=True))
    if not where.tags:
        return _in_order(where, after, JOBS.c, JOBS.c.id).where(*of_jobs)
    first, *others = where.tags
    selected = _in_order(where, after, _TAGGED.c, _TAGGED.c.job_id).where(_TAGGED.c.tag == first, *(_has_also(tag) for tag in others))
    if of_jobs:
        same = sa.and_(*(JOBS.c[name] == _TAGGED.c[key] for name, key in _SAME.items()))
        selected = selected.join_from(_TAGGED, JOBS, same).where(*of_jobs)
    return selected


def _in_order(where: JobFilter, after: Place | None, columns: Any, job_id: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Those of the owner and the time, in a table that has both in the order of an index."""
    conditions: list[Any] = [
        where.owner_id and columns.owner_id == where.owner_id,
        where.created_after and columns.created_at >= where.created_after,
        where.created_before and columns.created_at < where.created_before,
        after and _comes_after(where, sa.tuple_(columns.created_at, job_id), after),
    ]
    return (
        sa.select(job_id.label("id"), columns.created_at.label("created_at"))
        .where(*(condition for condition in conditions if condition is not None))
        .order_by(*in_order(where, columns.created_at, job_id))
    )


def in_order(where: JobFilter, *columns: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """What to order by; an index is read from either end."""
    return [column.asc() if where.oldest_first else column.desc() for column in columns]


def _comes_after(where: JobFilter, place: sa.Tuple, after: Place) -> sa.ColumnElement[bool]:
    there = sa.tuple_(sa.literal(after[0], _TIME), sa.literal(after[1], _UUID))
    return place > there if where.oldest_first else place < there


def _has_also(tag: str) -> sa.ColumnElement[bool]:
    other = _TAGGED.alias()
    same = [other.c[name] == _TAGGED.c[name] for name in _SAME.values()]
    return sa.select(sa.literal_column("1")).where(other.c.tag == tag, *same).exists()
