"""How jobs, pages and users become the bodies that go over the wire. Not here: what those look like (`contract`)."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from jobhub.contract.accounts import LimitsView, MeView, UserView
from jobhub.contract.jobs import AdminJobView, AdminPageView, AttemptView, JobView, OwnerView, PageView, QueueView
from jobhub.domain.jobs import Attempt
from jobhub.domain.limits import Limits, Usage
from jobhub.domain.users import User
from jobhub.services.jobs import PlacedJob
from jobhub.services.listing import Page

_PLAIN_FIELDS = tuple(field.name for field in msgspec.structs.fields(JobView) if field.name != "queue")


def job_view(placed: PlacedJob) -> JobView:
    """A job as its owner sees it."""
    return JobView(**_job_fields(placed))


def admin_job_view(placed: PlacedJob, owner_email: str) -> AdminJobView:
    """A job as administrators see it in lists."""
    owner = OwnerView(id=placed.job.owner_id, email=owner_email)
    return AdminJobView(**_job_fields(placed), owner=owner, worker=placed.job.worker_id)


def _job_fields(placed: PlacedJob) -> dict[str, Any]:
    fields = {name: getattr(placed.job, name) for name in _PLAIN_FIELDS}
    if placed.place:
        fields["queue"] = QueueView(position=placed.place.position, reason=placed.place.reason)
    return fields


def page_view(page: Page) -> PageView:
    """A page as the owner of its jobs sees it."""
    return PageView(jobs=[job_view(placed) for placed in page.jobs], **_page_fields(page))


def admin_page_view(page: Page) -> AdminPageView:
    """A page as administrators see it."""
    jobs = [admin_job_view(placed, email) for placed, email in zip(page.jobs, page.owner_emails, strict=True)]
    return AdminPageView(jobs=jobs, **_page_fields(page))


def _page_fields(page: Page) -> dict[str, Any]:
    names = ("page", "per_page", "total", "total_is_capped", "total_pages", "next_cursor")
    return {name: getattr(page, name) for name in names}


def attempt_view(attempt: Attempt) -> AttemptView:
    fields = msgspec.structs.asdict(attempt)
    return AttemptView(worker=fields.pop("worker_id"), **fields)


def user_view(user: User) -> UserView:
    return UserView(**msgspec.structs.asdict(user))


def me_view(user: User, limits: Limits, usage: Usage) -> MeView:
    shown = LimitsView(
        submits_per_minute=limits.submits_per_minute or None,
        pending_jobs=limits.pending_jobs or None,
        running_jobs=limits.running_jobs or None,
    )
    return MeView(id=user.id, email=user.email, role=user.role, limits=shown, usage=usage)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process lives, or can work; `checks` says what it looked at."""

    status: str
    checks: dict[str, str] = {}


def utc_now() -> datetime:
    """The clock of this process, for rules about what a client may ask for."""
    return datetime.now(UTC)
