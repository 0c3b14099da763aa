"""Submitting a job from a page: choose a type, fill in its form, and see what was wrong beside the field it is about.

`?type=` chooses the type, `?again=` a job whose fields are taken over. Rules live in `domain.submission` and `services.jobs`.
"""

import hashlib
import secrets
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_303_SEE_OTHER

from jobhub.domain.errors import InvalidInput, JobhubError, NotFound, Throttled
from jobhub.domain.strict_json import MAX_ERRORS
from jobhub.domain.submission import Submission, read_submission
from jobhub.domain.users import User
from jobhub.services import jobs
from jobhub.store.jobs import IdempotencyKey
from jobhub.web.problems import error_headers, status_of
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.schemas import utc_now
from jobhub.web.ui.forms import Form
from jobhub.web.ui.rendering import page, see_other
from jobhub.web.ui.schema_form import Field, fields_of, read_parameters

_COMMON = ("title", "description", "priority", "scheduled_for", "tags")
_PAGE = "submit.html"


def _again(request: Request[Any, Any, Any], error: JobhubError) -> Response[str]:
    """The form as it was filled in, with what is wrong."""
    form: Form = request.scope["state"]["form"]
    resources: Resources = request.app.state.resources
    described = _described(resources, request.user, form.text("job_type"))
    filled = [msgspec.structs.replace(field, text=_filled(field, form)) for field in fields_of(described["parameters_schema"], {})]
    common = {name: form.text(name) for name in _COMMON}
    found = error.errors if isinstance(error, InvalidInput) else ()
    errors = {item.pointer: item.detail for item in reversed(found)}
    return _form_page(
        request, described, filled, common, errors=errors, message=str(error), status_code=status_of(error), headers=error_headers(error)
    )


def _filled(field: Field, form: Form) -> str:
    if field.kind == "boolean":
        return "true" if form.has(field.input_name) else "false"
    return form.text(field.input_name)


class SubmitController(Controller):
    path = "/new"

    @get()
    async def show(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """The types to choose from, or the form of one."""
        if again := _uuid(request.query_params.get("again", "")):
            job = (await jobs.get(resources.db, again, by=request.user)).job
            described = _described(resources, request.user, job.job_type)
            common = {"title": job.title, "description": job.description or "", "priority": str(job.priority), "tags": ", ".join(job.tags)}
            return _form_page(request, described, fields_of(described["parameters_schema"], job.parameters), common)
        if name := request.query_params.get("type"):
            described = _described(resources, request.user, name)
            return _form_page(request, described, fields_of(described["parameters_schema"], {}), {})
        return page(request, "types.html", types=jobs.describe(resources.registry, by=request.user))

    @post(status_code=HTTP_303_SEE_OTHER, exception_handlers={InvalidInput: _again, Throttled: _again})
    async def submit(self, request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]) -> Response[bytes]:
        """On to the new job. The same form sent twice is one job."""
        described = _described(resources, request.user, form.text("job_type"))
        submission = _read(form, described, resources)
        submitted = await jobs.submit(
            resources.db, resources.submissions, resources.registry, owner=request.user, submission=submission, key=_key(form, submission)
        )
        return see_other(f"/ui/jobs/{submitted.placed.job.id}", notice="submitted")


def _described(resources: Resources, user: User, name: str) -> dict[str, Any]:
    """One job type as the API describes it. Raises NotFound: there is none, or not for this user."""
    found = next((described for described in jobs.describe(resources.registry, by=user) if described["name"] == name), None)
    if found is None:
        raise NotFound("job type", name)
    return found


def _read(form: Form, described: dict[str, Any], resources: Resources) -> Submission:
    """The submission a form stands for, read as the API reads one. Raises InvalidInput, PayloadTooLarge."""
    parameters, errors = read_parameters(fields_of(described["parameters_schema"], {}), form)
    tree: dict[str, Any] = {"job_type": described["name"], "title": form.text("title"), "parameters": parameters}
    if description := form.text("description").strip():
        tree["description"] = description
    if tags := [tag.strip() for tag in form.text("tags").split(",") if tag.strip()]:
        tree["tags"] = tags
    if priority := form.text("priority").strip():
        digits = priority.removeprefix("-")
        tree["priority"] = int(priority) if digits.isascii() and digits.isdigit() and len(digits) < 10 else priority
    if scheduled_for := form.text("scheduled_for").strip():
        tree["scheduled_for"] = _time(scheduled_for)
    try:
        submission = read_submission(msgspec.json.encode(tree), (tree, []), resources.registry, now=utc_now())
    except InvalidInput as error:
        unread = {item.pointer for item in errors}
        raise InvalidInput([*errors, *(item for item in error.errors if item.pointer not in unread)][:MAX_ERRORS]) from None
    if errors:
        raise InvalidInput(errors)
    return submission


def _time(text: str) -> str:
    """What a field for dates and times sends, which is without an offset: UTC."""
    if len(text) == len("2026-11-23T10:00"):
        text += ":00"
    return text if text.endswith(("Z", "z")) or "+" in text else f"{text}Z"


def _key(form: Form, submission: Submission) -> IdempotencyKey | None:
    """Ties the job to this very form and what stands in it: changed, it is another request, as people mean it after going back."""
    drawn = form.text("once")
    if not (drawn.isalnum() and drawn.isascii() and len(drawn) <= 64):
        return None
    fingerprint = hashlib.sha256(msgspec.json.encode(submission, order="deterministic")).digest()
    return IdempotencyKey(key=f"form-{drawn}-{fingerprint.hex()[:16]}", body_sha256=fingerprint)


def _form_page(
    request: UserRequest,
    described: dict[str, Any],
    fields: list[Field],
    common: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    message: str | None = None,
    status_code: int = 200,
    headers: dict[str, str] | None = None,
) -> Response[str]:
    errors = errors or {}
    has_more = any(common.get(name) not in (None, "", "0") for name in _COMMON if name != "title")
    return page(
        request,
        _PAGE,
        status_code=status_code,
        headers=headers,
        type=described,
        fields=[(field, _errors_of(field, errors)) for field in fields],
        common={name: common.get(name, "") for name in _COMMON},
        errors=errors,
        message=message,
        is_open=has_more or any(f"/{name}" in errors for name in _COMMON if name != "title"),
        once=secrets.token_hex(16),
    )


def _errors_of(field: Field, errors: dict[str, str]) -> list[str]:
    """What is wrong with a field, or somewhere in it."""
    own = f"/parameters/{field.name.replace('~', '~0').replace('/', '~1')}"
    inside = [f"{pointer[len(own) + 1 :]}: {detail}" for pointer, detail in errors.items() if pointer.startswith(f"{own}/")]
    return [*([errors[own]] if own in errors else []), *inside]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
