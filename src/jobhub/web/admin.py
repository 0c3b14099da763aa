"""Endpoints for administrators: everybody's jobs, statistics, queue health, force-complete, pins, clean-up."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from jobhub.contract.figures import QueueStatus, Statistics, Window
from jobhub.contract.jobs import AdminPageView, CleanUpView, ForceCompleteRequest, JobView, PinRequest
from jobhub.domain.jobs import JobStatus
from jobhub.services import admin, clean_up, listing
from jobhub.services.listing import PageRequest
from jobhub.store.matching import JobFilter
from jobhub.web.auth import administrators_only
from jobhub.web.conditional import ETAG, job_answer
from jobhub.web.hangups import answer_to_nobody, unless_gone
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
        """Newest first, each job with its owner and its latest worker.

        Each filter has an index but `worker`, and `q` of fewer than three characters: give them a span of time, or an `owner`. A search
        that takes longer than five seconds is given up, with a 400 and the code `filter_too_broad`.
        """
        where = JobFilter(
            statuses=tuple(status or ()),
            job_types=tuple(job_type or ()),
            tags=tuple(tag or ()),
            created_after=created_after,
            created_before=created_before,
            worker_id=worker,
            text=q,
        )
        part = PageRequest(page=page, per_page=per_page, cursor=cursor)
        if owner is not None:
            return admin_page_view(await listing.list_jobs_of(resources.db, owner, where, part, keys=resources.keys))
        return admin_page_view(await listing.list_jobs(resources.db, where, part, keys=resources.keys))

    @get("/statistics", summary="Figures of a window of time")
    async def statistics(self, resources: NamedDependency[Resources], window: FromQuery[Window] = Window.DAY) -> Statistics:
        """Counts of pending and running are of now, all else of what finished in the window. A rate of nothing is null."""
        return await resources.insight.statistics(window)

    @get("/queue-status", summary="Queue health")
    async def queue_status(self, resources: NamedDependency[Resources]) -> QueueStatus:
        """What waits, what runs, which workers live, and whether that is healthy."""
        return await resources.insight.queue_status()

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

    @put("/{job_id:uuid}/pin", summary="Keep a job from clean-ups", response_headers=[ETAG])
    async def pin(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[PinRequest | None] = None,
    ) -> Response[JobView]:
        """No clean-up removes it while it is pinned, whatever its status is and becomes. Repeating it changes nothing."""
        act = act_of(request, data.reason if data else None)
        return job_answer(await admin.pin(resources.db, job_id, act=act))

    @delete("/{job_id:uuid}/pin", status_code=HTTP_200_OK, summary="Let clean-ups have a job again", response_headers=[ETAG])
    async def unpin(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        reason: Annotated[str | None, QueryParameter(max_length=500)] = None,
    ) -> Response[JobView]:
        """Repeating it changes nothing."""
        return job_answer(await admin.unpin(resources.db, job_id, act=act_of(request, reason)))

    @delete("/cleanup", status_code=HTTP_200_OK, summary="Delete old finished jobs")
    async def clean_up(
        self,
        request: UserRequest,
        resources: NamedDependency[Resources],
        days_old: Annotated[int, QueryParameter(ge=0, le=36_500)] = 30,
        dry_run: Annotated[Literal["true", "false"], QueryParameter(description="Only count")] = "false",
        include: FromQuery[list[Literal["completed", "cancelled"]] | None] = None,
    ) -> Response[CleanUpView]:
        """Completed jobs, and cancelled ones with `include=cancelled`. Failed and pinned jobs are never removed here.

        It goes on for as long as you wait, a million jobs for a minute or more. Hang up, and it ends with the batch it is at; what was
        deleted until then stays deleted, and the next call goes on.
        """
        cancelled_too = "cancelled" in (include or ())
        if dry_run == "true":
            work = clean_up.rehearse(resources.db, days_old=days_old, include_cancelled=cancelled_too)
        else:
            work = clean_up.clean_up(resources.db, days_old=days_old, include_cancelled=cancelled_too, act=act_of(request))
        done = await unless_gone(request.receive, work)
        return Response(CleanUpView(**msgspec.structs.asdict(done))) if done else answer_to_nobody()
