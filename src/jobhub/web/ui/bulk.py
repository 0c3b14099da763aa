"""One verb for many jobs, selected or all that a search finds: first the question with their number, then what came of it."""

from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.jobs import Verb
from jobhub.services import bulk, listing
from jobhub.services.jobs import all_placed, scope_of
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import utc_now
from jobhub.web.ui.forms import Form, own_path
from jobhub.web.ui.rendering import page
from jobhub.web.ui.rows import Row
from jobhub.web.ui.search import ADMIN_KEYS, USER_KEYS, read_search
from jobhub.web.ui.session import HOME

_SHOWN = 100  # of those that could not be done
_TITLES = 10  # of those that are asked about


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done: to `job_ids`, some of them with their rows; `left` of those selected can't, `is_cut` if more may match."""

    verb: Verb
    job_ids: list[UUID]
    rows: list[Row]
    left: int = 0
    is_cut: bool = False


class BulkController(Controller):
    path = "/jobs/bulk"

    @get()
    async def ask(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """The question. An address of its own, so that one can go back to it: nothing is done before it was confirmed."""
        verb = _verb(request.query_params.get("verb", ""))
        if request.query_params.get("every") == "1":
            asked = await _every(request, resources, verb)
        else:
            asked = await _selected(request, resources, verb)
        return page(request, "bulk_confirm.html", asked=asked, back=own_path(request.query_params.get("back", ""), HOME))

    @post(status_code=HTTP_200_OK)
    async def act(self, request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]) -> Response[str]:
        """Done to those that were asked about, and to no others that match by now."""
        verb, job_ids = _verb(form.text("verb")), _job_ids(form.text("jobs").split(","))
        outcome = await bulk.act_on_all(resources.db, job_ids, verb, by=request.user, act=act_of(request))
        refused = list(outcome.refused)[:_SHOWN]
        titles = {job.id: job.title for job in await resources.live.read_all(refused, owner_id=scope_of(request.user))}
        return page(request, "bulk_done.html", outcome=outcome, refused=refused, titles=titles, back=own_path(form.text("back"), HOME))


async def _selected(request: UserRequest, resources: Resources, verb: Verb) -> Asked:
    job_ids = _job_ids(request.query_params.getall("job", []))
    rows = await _rows(request, resources, job_ids)
    can = [row for row in rows if (row.can_cancel if verb is Verb.CANCEL else row.can_retry)]
    return Asked(verb=verb, job_ids=[row.job.id for row in can], rows=can[:_TITLES], left=len(job_ids) - len(can))


async def _every(request: UserRequest, resources: Resources, verb: Verb) -> Asked:
    """All that the search of the list finds, read again as the list reads it. Raises InvalidInput: it can't be read."""
    given = request.query_params
    is_everybodys = given.get("list") == "all" and request.user.is_admin
    search = read_search(
        given.get("q", ""),
        status=given.get("status", ""),
        keys=ADMIN_KEYS if is_everybodys else USER_KEYS,
        owner_id=None if is_everybodys else request.user.id,
    )
    if search.problems:
        raise InvalidInput([FieldError("?q", problem) for problem in search.problems])
    where = await listing.of_owner(resources.db, search.owner, search.where) if search.owner else search.where
    job_ids = await bulk.find(resources.db, where, verb)
    rows = await _rows(request, resources, job_ids[:_TITLES])
    return Asked(verb=verb, job_ids=job_ids, rows=rows, is_cut=len(job_ids) == bulk.MAX_JOBS)


async def _rows(request: UserRequest, resources: Resources, job_ids: list[UUID]) -> list[Row]:
    jobs = await resources.live.read_all(job_ids, owner_id=scope_of(request.user))
    return [Row(placed=placed, now=utc_now()) for placed in await all_placed(resources.db, jobs)]


def _verb(verb: str) -> Verb:
    """Raises InvalidInput: none of those many can be done with."""
    if verb not in bulk.VERBS:
        raise InvalidInput([FieldError("/verb", f"must be {' or '.join(bulk.VERBS)}")])
    return Verb(verb)


def _job_ids(texts: list[str]) -> list[UUID]:
    """In the order of the list, each once. Raises InvalidInput: no ids, or too many."""
    try:
        job_ids = list(dict.fromkeys(UUID(text) for text in texts if text))
    except ValueError:
        raise InvalidInput([FieldError("/jobs", "must be ids of jobs")]) from None
    if len(job_ids) > bulk.MAX_JOBS:
        raise InvalidInput([FieldError("/jobs", f"must be at most {bulk.MAX_JOBS}")])
    return job_ids
