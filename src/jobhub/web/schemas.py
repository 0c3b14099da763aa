"""What goes over the wire: one Struct per request and response, and how jobs become one.

Not here: the body of `POST /jobs` (`domain.submission`) and of errors (`web.problems`).
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from jobhub.domain.jobs import Attempt, AttemptOutcome, Intervener, JobStatus
from jobhub.domain.limits import Limits, Usage
from jobhub.domain.users import Role, User
from jobhub.services.jobs import PlacedJob
from jobhub.services.listing import Page

Reason = Annotated[str, msgspec.Meta(max_length=500)]


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of cancel; it may also be left out."""

    reason: Reason | None = None


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of retry: an empty object, or nothing."""


class ForceCompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of force-complete; it may also be left out."""

    result: dict[str, Any] | None = None
    reason: Reason | None = None


class PinRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of pin; it may also be left out."""

    reason: Reason | None = None


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=1024)]


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, msgspec.Meta(max_length=1000)]


class NewUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str
    password: str
    role: Role


class ChangeUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Role | None = None
    password: str | None = None
    disabled: bool | None = None


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pending job stands among the due jobs of its queue, and why it doesn't run yet.

    `reason` is scheduled, retry_backoff, no_worker, queued, or running_limit: as many of its owner's jobs run as may.
    """

    position: int | None
    reason: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its owner sees it. `queue` is there while it is pending.

    `intervened_by` cancelled it, asked it to stop, or completed it by hand; `intervention_reason` is in their words.
    Since `pinned_at` no clean-up removes it, as an administrator wants it.
    """

    id: UUID
    job_type: str
    title: str
    description: str | None
    parameters: dict[str, Any]
    tags: list[str]
    priority: int
    status: JobStatus
    progress_percentage: int
    progress_message: str | None
    result: Any
    error_message: str | None
    error_code: str | None
    attempt: int
    max_attempts: int
    scheduled_for: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    intervened_by: Intervener | None
    intervention_reason: str | None
    pinned_at: datetime | None
    version: int
    queue: QueueView | msgspec.UnsetType = msgspec.UNSET


class OwnerView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str


class AdminJobView(JobView, frozen=True, kw_only=True):
    """A job as administrators see it: with whose it is and which worker ran it last."""

    owner: OwnerView
    worker: UUID | None


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


class PageView(msgspec.Struct, frozen=True, kw_only=True):
    """One page of jobs. `total` is exact up to 10,000; `page` is null under a cursor."""

    jobs: list[JobView]
    page: int | None
    per_page: int
    total: int
    total_is_capped: bool
    total_pages: int
    next_cursor: str | None


class AdminPageView(PageView, frozen=True, kw_only=True):
    jobs: list[AdminJobView]  # type: ignore[assignment]  # narrower on purpose: a frozen list is read only


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


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job; `ended_at` and `outcome` are null while it runs, `traceback` is for administrators."""

    number: int
    worker: UUID | None
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    error_code: str | None
    error_message: str | None
    traceback: str | None


def attempt_view(attempt: Attempt) -> AttemptView:
    fields = msgspec.structs.asdict(attempt)
    return AttemptView(worker=fields.pop("worker_id"), **fields)


class RetryView(msgspec.Struct, frozen=True, kw_only=True):
    max_attempts: int


class JobTypeView(msgspec.Struct, frozen=True, kw_only=True):
    """A job type: what to send and what to expect."""

    name: str
    summary: str
    queue: str
    audience: str
    timeout_seconds: float
    retry: RetryView
    parameters_schema: dict[str, Any]
    defaults: dict[str, Any]


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    role: Role
    disabled: bool
    created_at: datetime


def user_view(user: User) -> UserView:
    return UserView(**msgspec.structs.asdict(user))


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may have; null is no limit."""

    submits_per_minute: int | None
    pending_jobs: int | None
    running_jobs: int | None


class MeView(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, their limits, and under the same names how much of each is used, counted up to 100,000."""

    id: UUID
    email: str
    role: Role
    limits: LimitsView
    usage: Usage


def me_view(user: User, limits: Limits, usage: Usage) -> MeView:
    shown = LimitsView(
        submits_per_minute=limits.submits_per_minute or None,
        pending_jobs=limits.pending_jobs or None,
        running_jobs=limits.running_jobs or None,
    )
    return MeView(id=user.id, email=user.email, role=user.role, limits=shown, usage=usage)


class CleanUpView(msgspec.Struct, frozen=True, kw_only=True):
    deleted: int
    by_type: dict[str, int]
    cutoff: datetime
    dry_run: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process lives, or can work; `checks` says what it looked at."""

    status: str
    checks: dict[str, str] = {}


def utc_now() -> datetime:
    """The clock of this process, for rules about what a client may ask for."""
    return datetime.now(UTC)
