"""Endpoints for administrators: everybody's jobs, statistics, queue health, force-complete, clean-up."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from jobhub.contract.figures import QueueStatus, Statistics, Window
from jobhub.contract.jobs import AdminPageView, CleanUpView, ForceCompleteRequest, JobView
from jobhub.domain.jobs import JobStatus
from jobhub.services import admin, insight, listing
from jobhub.services.listing import PageRequest
from jobhub.store.listing import JobFilter
from jobhub.web.auth import administrators_only
from jobhub.web.conditional import ETAG, job_answer
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import admin_page_view


class AdminController(Controller):
    path = "/jobs/admin"
    tags = ("administration",)
    guards = (administrators_only,)

    @get("/all", summary="List everybody's jobs")
    async def list_all(
        self,
        resources: NamedDependency[Resources],
        page: Annotated[int | None, QueryParameter(ge=1)] = None,
        per_page: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
        status: FromQuery[list[JobStatus] | None] = None,
        job_type: FromQuery[list[str] | None] = None,
        tag: FromQuery[list[str] | None] = None,
        created_after: FromQuery[datetime | None] = None,
        created_before: FromQuery[datetime | None] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
        owner: Annotated[str | None, QueryParameter(max_length=254, description="Id or e-mail address")] = None,
        worker: FromQuery[UUID | None] = None,
        q: Annotated[str | None, QueryParameter(max_length=200, description="Looked for in titles, literally, without case")] = None,
    ) -> AdminPageView:
        """Newest first, each job with its owner and its latest worker."""
        owner_id = _uuid_or_none(owner)
        where = JobFilter(
            owner_id=owner_id,
            owner_email=None if owner_id else owner,
            statuses=tuple(status or ()),
            job_types=tuple(job_type or ()),
            tags=tuple(tag or ()),
            created_after=created_after,
            created_before=created_before,
            worker_id=worker,
            text=q,
        )
        part = PageRequest(page=page, per_page=per_page, cursor=cursor)
        return admin_page_view(await listing.list_jobs(resources.db, where, part, keys=resources.keys))

    @get("/statistics", summary="Figures of a window of time")
    async def statistics(self, resources: NamedDependency[Resources], window: FromQuery[Window] = Window.DAY) -> Statistics:
        """Counts of pending and running are of now, all else of what finished in the window. A rate of nothing is null."""
        return await insight.statistics(resources.db, window)

    @get("/queue-status", summary="Queue health")
    async def queue_status(self, resources: NamedDependency[Resources]) -> QueueStatus:
        """What waits, what runs, which workers live, and whether that is healthy."""
        return await insight.queue_status(resources.db)

    @post("/{job_id:uuid}/force-complete", status_code=HTTP_200_OK, summary="Complete a job by hand", response_headers=[ETAG])
    async def force_complete(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[ForceCompleteRequest | None] = None,
    ) -> Response[JobView]:
        """The late outcome of an attempt that is running is dropped. The job's owner sees the reason."""
        given = data or ForceCompleteRequest()
        act = act_of(request, given.reason)
        return job_answer(await admin.force_complete(resources.db, job_id, result=given.result, by=request.user, act=act))

    @delete("/cleanup", status_code=HTTP_200_OK, summary="Delete old finished jobs")
    async def clean_up(
        self,
        request: UserRequest,
        resources: NamedDependency[Resources],
        days_old: Annotated[int, QueryParameter(ge=0, le=36_500)] = 30,
        dry_run: Annotated[Literal["true", "false"], QueryParameter(description="Only count")] = "false",
        include: FromQuery[list[Literal["completed", "cancelled"]] | None] = None,
    ) -> CleanUpView:
        """Completed jobs, and cancelled ones with `include=cancelled`. Failed jobs are never removed here."""
        done = await admin.clean_up(
            resources.db,
            days_old=days_old,
            include_cancelled="cancelled" in (include or ()),
            dry_run=dry_run == "true",
            act=act_of(request),
        )
        return CleanUpView(**msgspec.structs.asdict(done))


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
