"""One verb for many selected jobs: first the question with their number, then what came of it."""

from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.jobs import Verb
from jobhub.services import bulk
from jobhub.services.jobs import all_placed, scope_of
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import utc_now
from jobhub.web.ui.forms import Form, own_path
from jobhub.web.ui.rendering import page
from jobhub.web.ui.rows import Row
from jobhub.web.ui.session import HOME


@post("/jobs/bulk", status_code=HTTP_200_OK)
async def act_on_selected(request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]) -> Response[str]:
    """Nothing is done before it was confirmed."""
    verb, job_ids = _verb(form), _job_ids(form)
    back = own_path(form.text("back"), HOME)
    if form.text("confirmed") == "1" and job_ids:
        outcome = await bulk.act_on_all(resources.db, job_ids, verb, by=request.user, act=act_of(request))
        titles = await _titles(request, resources, list(outcome.refused))
        return page(request, "bulk_done.html", outcome=outcome, titles=titles, back=back)
    jobs = await resources.live.read_all(job_ids, owner_id=scope_of(request.user))
    now = utc_now()
    rows = [Row(placed=placed, now=now) for placed in await all_placed(resources.db, jobs)]
    eligible = [row for row in rows if (row.can_cancel if verb is Verb.CANCEL else row.can_retry)]
    return page(request, "bulk_confirm.html", verb=verb, rows=rows, eligible=eligible, job_ids=job_ids, back=back)


def _verb(form: Form) -> Verb:
    """Raises InvalidInput: none of those many can be done with."""
    verb = form.text("verb")
    if verb not in bulk.VERBS:
        raise InvalidInput([FieldError("/verb", f"must be {' or '.join(bulk.VERBS)}")])
    return Verb(verb)


def _job_ids(form: Form) -> list[UUID]:
    """In the order of the list, each once. Raises InvalidInput: no ids, or too many."""
    try:
        job_ids = list(dict.fromkeys(UUID(text) for text in form.all("job")))
    except ValueError:
        raise InvalidInput([FieldError("/job", "must be ids of jobs")]) from None
    if len(job_ids) > bulk.MAX_JOBS:
        raise InvalidInput([FieldError("/job", f"must be at most {bulk.MAX_JOBS}")])
    return job_ids


async def _titles(request: UserRequest, resources: Resources, job_ids: list[UUID]) -> dict[UUID, str]:
    return {job.id: job.title for job in await resources.live.read_all(job_ids, owner_id=scope_of(request.user))}
