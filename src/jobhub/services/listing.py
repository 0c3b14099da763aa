"""Pages of jobs: for their owner, and for administrators."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.jobs import JobStatus
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob, all_placed
from jobhub.services.tokens import Keys
from jobhub.store import listing as store
from jobhub.store import users as users_store
from jobhub.store.database import Database
from jobhub.store.listing import MAX_TOTAL, Count
from jobhub.store.matching import JobFilter

_NOBODY = UUID(int=0)  # no user has this id: ours are UUIDv7


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list: `page` counts from 1; under a `cursor` it must be None."""

    page: int | None
    per_page: int
    cursor: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `owner_emails` are those of `jobs`, in the same order."""

    jobs: list[PlacedJob]
    owner_emails: list[str]
    page: int | None
    per_page: int
    total: int
    total_is_capped: bool
    next_cursor: str | None

    @property
    def total_pages(self) -> int:
        return -(-self.total // self.per_page)


async def list_jobs_of(db: Database, owner: str, where: JobFilter, request: PageRequest, *, keys: Keys) -> Page:
    """As `list_jobs`, of the user with this id or e-mail address; nobody has no jobs."""
    return await list_jobs(db, await of_owner(db, owner, where), request, keys=keys)


async def of_owner(db: Database, owner: str, where: JobFilter) -> JobFilter:
    """The same filter for the jobs of the user with this id or e-mail address."""
    try:
        owner_id = UUID(owner)
    except ValueError:
        found = await users_store.get_user_by_email(db, owner)
        owner_id = found[0].id if found else _NOBODY
    return msgspec.structs.replace(where, owner_id=owner_id)


async def list_jobs(db: Database, where: JobFilter, request: PageRequest, *, keys: Keys, total: Count | None = None) -> Page:
    """One page of the jobs that match, in the order of the filter. `keys` sign the cursor; `total`: how many match, if that is known.

    Raises:
        InvalidInput: page and cursor together, a page too far down, or a cursor that is not from here.
        FilterTooBroad: no index leads to them, and the search took too long.
    """
    _check(request)
    after = _read_cursor(request.cursor, where, keys) if request.cursor is not None else None
    offset = 0 if after else ((request.page or 1) - 1) * request.per_page
    # One more than asked for tells whether there is a next page.
    found = await store.list_jobs(db, where, offset=offset, limit=request.per_page + 1, after=after)
    if total is None:
        total = await store.count_jobs(db, where)
    shown = found[: request.per_page]
    return Page(
        jobs=await all_placed(db, [owned.job for owned in shown]),
        owner_emails=[owned.owner_email for owned in shown],
        page=None if after else request.page or 1,
        per_page=request.per_page,
        total=total.jobs,
        total_is_capped=total.is_capped,
        next_cursor=_cursor(shown[-1].job.created_at, shown[-1].job.id, where, keys) if len(found) > len(shown) else None,
    )


Counts = dict[JobStatus | None, Count | None]


async def count_own_jobs(db: Database, user: User) -> Counts:
    """A user's jobs by status, and under None all of them; None for completed ones where counting them would take long."""
    return await store.count_jobs_of(db, user.id)


def _check(request: PageRequest) -> None:
    if request.cursor is not None and request.page is not None:
        raise InvalidInput([FieldError("?page", "can't be combined with cursor")])
    if request.cursor is None and (request.page or 1) * request.per_page > MAX_TOTAL:
        raise InvalidInput(
            [FieldError("?page", f"page × per_page is limited to {MAX_TOTAL}; beyond that follow next_cursor")], code="use_cursor"
        )


def _cursor(created_at: datetime, job_id: UUID, where: JobFilter, keys: Keys) -> str:
    place = ((created_at - _EPOCH) // timedelta(microseconds=1)).to_bytes(8, "big") + job_id.bytes
    return base64.urlsafe_b64encode(place + _signature(place, where, keys.current)).rstrip(b"=").decode("ascii")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _read_cursor(cursor: str, where: JobFilter, keys: Keys) -> tuple[datetime, UUID]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    place, signature = raw[:24], raw[24:]
    if len(place) != 24 or not any(hmac.compare_digest(signature, _signature(place, where, key)) for key in keys.accepted):
        raise InvalidInput([FieldError("?cursor", "is not a next_cursor of this list with these filters")], code="invalid_cursor")
    return _EPOCH + timedelta(microseconds=int.from_bytes(place[:8], "big")), UUID(bytes=place[8:])


def _signature(place: bytes, where: JobFilter, key: bytes) -> bytes:
    """Ties a cursor to its filters, the owner among them: somebody else's, or another list's, is refused."""
    return hmac.new(key, b"jobhub cursor\0" + place + msgspec.json.encode(where), hashlib.sha256).digest()[:16]
