"""Endpoints for a user's own jobs. Rules live in `services.jobs`, status codes of errors in `web.problems`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from jobhub.domain.jobs import JobStatus
from jobhub.domain.submission import Submission, read_submission
from jobhub.services import jobs, listing
from jobhub.services.listing import PageRequest
from jobhub.store.listing import JobFilter
from jobhub.web.requests import idempotency_key, parse_body
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import (
    AttemptView,
    CancelRequest,
    JobTypeView,
    JobView,
    PageView,
    RetryRequest,
    attempt_view,
    job_view,
    page_view,
    utc_now,
)


def _read_submission(request: Request[Any, Any, Any], body: bytes) -> Submission:
    return read_submission(body, parse_body(request, body), request.app.state.resources.registry, now=utc_now())


class JobController(Controller):
    path = "/jobs"
    tags = ("jobs",)

    @post(summary="Submit a job", opt={"read_body": _read_submission})
    async def submit(self, request: UserRequest, data: JSONBody[Submission], resources: NamedDependency[Resources]) -> Response[JobView]:
        """A 201 means that the job is stored and will be run, whatever happens to this service next.

        With an `Idempotency-Key` (1 to 200 visible ASCII characters, kept 24 h) the same request makes one job however often it is
        sent: the answer to a repetition is 200 with the job as it is now and `Idempotency-Replayed: true`. What a limit refuses (429,
        see `GET /auth/me`) does not use up its key, and a repetition uses up no limit.
        """
        key = idempotency_key(request)
        submitted = await jobs.submit(resources.db, resources.submissions, resources.registry, owner=request.user, submission=data, key=key)
        headers = {"Location": f"/jobs/{submitted.placed.job.id}"}
        if submitted.is_replay:
            return Response(job_view(submitted.placed), status_code=HTTP_200_OK, headers=headers | {"Idempotency-Replayed": "true"})
        return Response(job_view(submitted.placed), headers=headers)

    @get(summary="List your jobs")
    async def list_own(
        self,
        request: UserRequest,
        resources: NamedDependency[Resources],
        page: Annotated[int | None, QueryParameter(ge=1)] = None,
        per_page: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        status: FromQuery[list[JobStatus] | None] = None,
        job_type: FromQuery[list[str] | None] = None,
        tag: FromQuery[list[str] | None] = None,
        created_after: FromQuery[datetime | None] = None,
        created_before: FromQuery[datetime | None] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> PageView:
        """Newest first. Repeated `status` or `job_type` is any-of, repeated `tag` all-of."""
        where = JobFilter(
            owner_id=request.user.id,
            statuses=tuple(status or ()),
            job_types=tuple(job_type or ()),
            tags=tuple(tag or ()),
            created_after=created_after,
            created_before=created_before,
        )
        part = PageRequest(page=page, per_page=per_page, cursor=cursor)
        return page_view(await listing.list_jobs(resources.db, where, part, secret=resources.key))

    @get("/{job_id:uuid}", summary="Read a job")
    async def read(self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> JobView:
        """A job that is not yours is a 404, as one that does not exist. Administrators see every job."""
        return job_view(await jobs.get(resources.db, job_id, by=request.user))

    @post("/{job_id:uuid}/cancel", status_code=HTTP_200_OK, summary="Cancel a job")
    async def cancel(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[CancelRequest | None] = None,
    ) -> JobView:
        """A pending job is cancelled at once; a running one is asked to stop and may still be `running` in the answer.

        The job shows the reason, and whether its owner or an administrator gave it.
        """
        act = act_of(request, data.reason if data else None)
        return job_view(await jobs.cancel(resources.db, job_id, by=request.user, act=act))

    @post("/{job_id:uuid}/retry", status_code=HTTP_200_OK, summary="Retry a failed or cancelled job")
    async def retry(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[RetryRequest | None] = None,
    ) -> JobView:
        """It runs at once, with a new count of attempts; those it had stay on record."""
        return job_view(await jobs.retry(resources.db, job_id, by=request.user, act=act_of(request)))

    @get("/{job_id:uuid}/attempts", summary="List the attempts of a job")
    async def list_attempts(self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> list[AttemptView]:
        """In order, the running one too. Tracebacks are for administrators."""
        attempts = await jobs.list_attempts(resources.db, job_id, by=request.user)
        return [attempt_view(attempt) for attempt in attempts]


@get("/job-types", tags=["jobs"], summary="List the job types you may submit")
async def list_job_types(request: UserRequest, resources: NamedDependency[Resources]) -> list[JobTypeView]:
    """By name, each with the JSON Schema of its parameters."""
    return [msgspec.convert(description, JobTypeView) for description in jobs.describe(resources.registry, by=request.user)]
