"""Endpoints for a user's own jobs. Rules live in `services.jobs`, status codes of errors in `web.problems`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_304_NOT_MODIFIED

from jobhub.contract.jobs import AttemptView, CancelRequest, JobTypeView, JobView, PageView, RetryRequest
from jobhub.domain.jobs import JobStatus
from jobhub.domain.submission import Submission, read_submission
from jobhub.services import jobs, listing, waiting
from jobhub.services.listing import PageRequest
from jobhub.store.matching import JobFilter
from jobhub.web.conditional import ETAG, job_answer, known_versions, not_modified
from jobhub.web.hangups import answer_to_nobody, unless_gone
from jobhub.web.requests import idempotency_key, parse_body
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import attempt_view, page_view, utc_now

_LOCATION = ResponseHeader(name="Location", value="/jobs/…", documentation_only=True, description="Where to read the job")
_NOT_MODIFIED = {HTTP_304_NOT_MODIFIED: ResponseSpec(None, description="`If-None-Match` names the present version")}


def _read_submission(request: Request[Any, Any, Any], body: bytes) -> Submission:
    return read_submission(body, parse_body(request, body), request.app.state.resources.registry, now=utc_now())


class JobController(Controller):
    path = "/jobs"
    tags = ("jobs",)

    @post(summary="Submit a job", opt={"read_body": _read_submission}, response_headers=[_LOCATION, ETAG])
    async def submit(self, request: UserRequest, data: JSONBody[Submission], resources: NamedDependency[Resources]) -> Response[JobView]:
        """A 201 means that the job is stored and will be run, whatever happens to this service next.

        With an `Idempotency-Key` (1 to 200 visible ASCII characters, kept 24 h) the same request makes one job however often it is
        sent: the answer to a repetition is 200 with the job as it is now and `Idempotency-Replayed: true`. What a limit refuses (429,
        see `GET /auth/me`) does not use up its key, and a repetition uses up no limit.
        """
        key = idempotency_key(request)
        submitted = await jobs.submit(resources.db, resources.submissions, resources.registry, owner=request.user, submission=data, key=key)
        headers = {"Location": f"{request.scope.get('root_path', '')}/jobs/{submitted.placed.job.id}"}
        if submitted.is_replay:
            return job_answer(submitted.placed, headers=headers | {"Idempotency-Replayed": "true"})
        return job_answer(submitted.placed, status_code=HTTP_201_CREATED, headers=headers)

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
        """Newest first. Repeated `status` or `job_type` is any-of, repeated `tag` all-of.

        Each filter has an index. A combination that takes longer than five seconds is given up, with a 400 and the code `filter_too_broad`.
        """
        where = JobFilter(
            owner_id=request.user.id,
            statuses=tuple(status or ()),
            job_types=tuple(job_type or ()),
            tags=tuple(tag or ()),
            created_after=created_after,
            created_before=created_before,
        )
        part = PageRequest(page=page, per_page=per_page, cursor=cursor)
        return page_view(await listing.list_jobs(resources.db, where, part, keys=resources.keys))

    @get("/{job_id:uuid}", summary="Read a job", response_headers=[ETAG], responses=_NOT_MODIFIED)
    async def read(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        wait: Annotated[int, QueryParameter(ge=0, le=60, description="Seconds")] = 0,
        if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match", description="An ETag, several, or *")] = None,
    ) -> Response[JobView]:
        """A job that is not yours is a 404, as one that does not exist. Administrators see every job.

        `wait` holds the answer until the job is finished or, with `If-None-Match`, until it has changed; after that time it is answered
        as it is. `queue` moves without a new ETag.
        """
        known = known_versions(request)
        if wait and not (known and known.is_any):  # whatever comes, * has it already
            is_known = known.__contains__ if known else None
            reading = waiting.read_news(resources.live, resources.accounts, job_id, by=request.user, is_known=is_known, within_seconds=wait)
            job = await unless_gone(request.receive, reading)
        else:
            job = await waiting.read(resources.live, job_id, by=request.user)
        if job is None:
            return answer_to_nobody()
        if known and job.version in known:
            return not_modified(job)
        return job_answer(await jobs.placed(resources.db, job))

    @post("/{job_id:uuid}/cancel", status_code=HTTP_200_OK, summary="Cancel a job", response_headers=[ETAG])
    async def cancel(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[CancelRequest | None] = None,
    ) -> Response[JobView]:
        """A pending job is cancelled at once; a running one is asked to stop and may still be `running` in the answer.

        The job shows the reason, and whether its owner or an administrator gave it.
        """
        act = act_of(request, data.reason if data else None)
        return job_answer(await jobs.cancel(resources.db, job_id, by=request.user, act=act))

    @post("/{job_id:uuid}/retry", status_code=HTTP_200_OK, summary="Retry a failed or cancelled job", response_headers=[ETAG])
    async def retry(
        self,
        request: UserRequest,
        job_id: FromPath[UUID],
        resources: NamedDependency[Resources],
        data: JSONBody[RetryRequest | None] = None,
    ) -> Response[JobView]:
        """It runs at once, with a new count of attempts; those it had stay on record."""
        return job_answer(await jobs.retry(resources.db, job_id, by=request.user, act=act_of(request)))

    @get("/{job_id:uuid}/attempts", summary="List the attempts of a job")
    async def list_attempts(self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> list[AttemptView]:
        """In order, the running one too. Tracebacks are for administrators."""
        attempts = await jobs.list_attempts(resources.db, job_id, by=request.user)
        return [attempt_view(attempt) for attempt in attempts]


@get("/job-types", tags=["jobs"], summary="List the job types you may submit")
async def list_job_types(request: UserRequest, resources: NamedDependency[Resources]) -> list[JobTypeView]:
    """By name, each with the JSON Schema of its parameters."""
    return [msgspec.convert(description, JobTypeView) for description in jobs.describe(resources.registry, by=request.user)]
