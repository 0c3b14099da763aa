"""The page of one job, and what can be done there: cancel, retry, complete by hand, download the result."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.status_codes import HTTP_303_SEE_OTHER

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.jobs import JobStatus
from jobhub.domain.strict_json import parse_json
from jobhub.services import accounts, admin, jobs
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import utc_now
from jobhub.web.ui.curl import submit_command
from jobhub.web.ui.forms import Form, own_path
from jobhub.web.ui.rendering import page, see_other
from jobhub.web.ui.rows import Row, bar_of, life_of
from jobhub.web.ui.session import own_origin
from jobhub.web.ui.wording import MAX_SHOWN_JSON, pretty

MAX_REASON = 500


class JobPageController(Controller):
    path = "/jobs/{job_id:uuid}"

    @get()
    async def show(self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> Response[str]:
        """One job with its attempts."""
        placed = await jobs.get(resources.db, job_id, by=request.user)
        attempts = await jobs.list_attempts(resources.db, job_id, by=request.user)
        is_own = placed.job.owner_id == request.user.id
        email = None if is_own else await accounts.email_of(resources.accounts, placed.job.owner_id)
        row = Row(placed=placed, now=utc_now(), owner_email=email)
        steps = life_of(row)
        return page(
            request,
            "job.html",
            row=row,
            job=placed.job,
            steps=steps,
            bar=bar_of(steps),
            attempts=attempts,
            has_result=placed.job.status is JobStatus.COMPLETED,
            is_cut=len(pretty(placed.job.result)) > MAX_SHOWN_JSON,
            curl=submit_command(placed.job, own_origin(request)),
            can_submit=resources.registry.get(placed.job.job_type) is not None,
        )

    @get("/result")
    async def download_result(self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> Response[bytes]:
        """The result as a file, every byte of it; never shown by the browser as something it could run."""
        placed = await jobs.get(resources.db, job_id, by=request.user)
        headers = {"Content-Disposition": f'attachment; filename="result-{job_id}.json"', "Content-Security-Policy": "sandbox"}
        return Response(msgspec.json.encode(placed.job.result), media_type="application/json", headers=headers)

    @post("/cancel", status_code=HTTP_303_SEE_OTHER)
    async def cancel(
        self, request: UserRequest, job_id: FromPath[UUID], form: NamedDependency[Form], resources: NamedDependency[Resources]
    ) -> Response[bytes]:
        """Back to where one was."""
        cancelled = await jobs.cancel(resources.db, job_id, by=request.user, act=act_of(request, _reason(form)))
        return see_other(_back(form, job_id), notice="cancelled" if cancelled.job.status is JobStatus.CANCELLED else "stopping")

    @post("/retry", status_code=HTTP_303_SEE_OTHER)
    async def retry(
        self, request: UserRequest, job_id: FromPath[UUID], form: NamedDependency[Form], resources: NamedDependency[Resources]
    ) -> Response[bytes]:
        """Back to where one was."""
        await jobs.retry(resources.db, job_id, by=request.user, act=act_of(request))
        return see_other(_back(form, job_id), notice="retried")

    @post("/force-complete", status_code=HTTP_303_SEE_OTHER, guards=[administrators_only])
    async def force_complete(
        self, request: UserRequest, job_id: FromPath[UUID], form: NamedDependency[Form], resources: NamedDependency[Resources]
    ) -> Response[bytes]:
        """Back to the job."""
        act = act_of(request, _reason(form))
        await admin.force_complete(resources.db, job_id, result=_result(form), by=request.user, act=act)
        return see_other(f"/ui/jobs/{job_id}", notice="completed")


def _back(form: Form, job_id: UUID) -> str:
    return own_path(form.text("back"), f"/ui/jobs/{job_id}")


def _reason(form: Form) -> str | None:
    """The reason that was given, or None. Raises InvalidInput: too long."""
    reason = form.text("reason").strip()
    if len(reason) > MAX_REASON:
        raise InvalidInput([FieldError("/reason", f"must have at most {MAX_REASON} characters")])
    return reason or None


def _result(form: Form) -> dict[str, Any] | None:
    """The result that was given, or None. Raises InvalidInput: no JSON object."""
    text = form.text("result").strip()
    if not text:
        return None
    value, faults = parse_json(text.encode())
    if faults or not isinstance(value, dict):
        raise InvalidInput(faults or [FieldError("/result", "must be a JSON object")])
    return value
