"""Jobs, pages of them, attempts and job types as they go over the wire. Not here: the body of `POST /jobs` (`domain.submission`)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from jobhub.domain.jobs import AttemptOutcome, Intervener, JobStatus

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


class CleanUpView(msgspec.Struct, frozen=True, kw_only=True):
    deleted: int
    by_type: dict[str, int]
    cutoff: datetime
    dry_run: bool
