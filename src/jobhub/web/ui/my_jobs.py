"""The list of one's own jobs: tabs with counts, search, pages."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from jobhub.domain.jobs import JobStatus
from jobhub.services import bulk, listing
from jobhub.services.listing import Counts, Page, PageRequest
from jobhub.store.listing import MAX_TOTAL, Count
from jobhub.store.matching import JobFilter
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.schemas import utc_now
from jobhub.web.ui.rendering import page
from jobhub.web.ui.rows import Row
from jobhub.web.ui.search import USER_KEYS, Search, read_search

PER_PAGE = 25
OLDEST = "oldest"


class Tab(msgspec.Struct, frozen=True, kw_only=True):
    """A state to choose; `count` is None where nobody counts, and there are more where it `is_capped`."""

    label: str
    href: str
    is_chosen: bool
    count: int | None = None
    is_capped: bool = False


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a list's template shows."""

    rows: list[Row]
    tabs: list[Tab]
    search: Search
    status: str
    first: int
    page: Page
    previous: str | None
    next: str | None
    oldest_first: bool
    other_order: str
    shows_owners: bool
    running: int = 0
    most: int = bulk.MAX_JOBS


@get("/jobs")
async def my_jobs(request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
    """Newest first, or oldest."""
    asked = read_asked(request)
    search = read_search(asked["q"], status=asked["status"], keys=USER_KEYS, owner_id=request.user.id, oldest_first=asked["sort"] == OLDEST)
    counts = await listing.count_own_jobs(resources.db, request.user)
    total = _counted_as_tab(counts, search.where)
    found = await listing.list_jobs(resources.db, search.where, part_of(asked), keys=resources.keys, total=total)
    listed = made_list(request.url.path, found, search, asked, counts=counts, shows_owners=False)
    return page(request, "my_jobs.html", listed=listed)


def _counted_as_tab(counts: Counts, where: JobFilter) -> Count | None:
    """How many match, if that is what a tab says."""
    if len(where.statuses) > 1 or where != JobFilter(owner_id=where.owner_id, statuses=where.statuses, oldest_first=where.oldest_first):
        return None
    return counts[where.statuses[0] if where.statuses else None]


def read_asked(request: UserRequest) -> dict[str, str]:
    """The parameters of a list in the URL; what isn't known is ignored, as people's bookmarks outlive us."""
    given = request.query_params
    asked = {name: str(given.get(name, "")).replace("\0", "") for name in ("q", "status", "sort", "page", "cursor")}
    if asked["status"] not in set(JobStatus):
        asked["status"] = ""
    if asked["sort"] != OLDEST:
        asked["sort"] = ""
    number = asked["page"]
    asked["page"] = number if number.isascii() and number.isdigit() and 0 < int(number[:9]) * PER_PAGE <= MAX_TOTAL else ""
    return asked


def part_of(asked: dict[str, str]) -> PageRequest:
    """Which part of the list is asked for."""
    if asked["cursor"]:
        return PageRequest(page=None, per_page=PER_PAGE, cursor=asked["cursor"])
    return PageRequest(page=int(asked["page"] or 1), per_page=PER_PAGE)


def made_list(path: str, found: Page, search: Search, asked: dict[str, str], *, counts: Counts | None, shows_owners: bool) -> Listed:
    """A page of jobs with the links around it."""
    now = utc_now()
    emails = found.owner_emails if shows_owners else [None] * len(found.jobs)
    running = counts[JobStatus.RUNNING] if counts else None
    number = found.page or 0
    following = None
    if found.next_cursor:
        is_near = found.page and (number + 1) * PER_PAGE <= MAX_TOTAL
        following = link(path, asked, page=str(number + 1)) if is_near else link(path, asked, cursor=found.next_cursor)
    return Listed(
        rows=[Row(placed=placed, now=now, owner_email=email) for placed, email in zip(found.jobs, emails, strict=True)],
        tabs=_tabs(path, asked, counts),
        search=search,
        status=asked["status"],
        first=(number - 1) * PER_PAGE + 1 if number else 0,
        page=found,
        previous=link(path, asked, page=str(number - 1) if number > 2 else "") if number > 1 else None,
        next=following,
        oldest_first=asked["sort"] == OLDEST,
        other_order=link(path, asked, sort="" if asked["sort"] else OLDEST),
        shows_owners=shows_owners,
        running=running.jobs if running else 0,
    )


def _tabs(path: str, asked: dict[str, str], counts: Counts | None) -> list[Tab]:
    statuses: list[JobStatus | None] = [None, *JobStatus]
    labels = [(status.value.capitalize() if status else "All", status, counts[status] if counts else None) for status in statuses]
    return [
        Tab(
            label=label,
            href=link(path, asked, status=status.value if status else ""),
            is_chosen=asked["status"] == (status or ""),
            count=counted.jobs if counted else None,
            is_capped=counted.is_capped if counted else False,
        )
        for label, status, counted in labels
    ]


def link(path: str, asked: dict[str, Any], **changes: str) -> str:
    """The same list, otherwise: on its first page unless that is what changes."""
    kept = {"q": asked["q"], "status": asked["status"], "sort": asked["sort"], **changes}
    query = urlencode({name: value for name, value in kept.items() if value})
    return f"{path}?{query}" if query else path
