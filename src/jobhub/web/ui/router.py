"""All pages, under /ui: who may come, what an error looks like, and how forms are read, for each of them alike."""

from litestar import Response, Router, get
from litestar.di import Provide
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath

from jobhub.web.resources import UserRequest
from jobhub.web.ui.account import AccountController
from jobhub.web.ui.admin.all_jobs import all_jobs
from jobhub.web.ui.admin.clean_up import CleanUpController
from jobhub.web.ui.admin.people import PeopleController
from jobhub.web.ui.admin.system import SystemController
from jobhub.web.ui.assets import asset
from jobhub.web.ui.bulk import BulkController
from jobhub.web.ui.forms import MAX_BODY_BYTES, provide_form
from jobhub.web.ui.job_page import JobPageController
from jobhub.web.ui.live import job_events, list_events
from jobhub.web.ui.my_jobs import my_jobs
from jobhub.web.ui.problems import HANDLERS, on_http_exception
from jobhub.web.ui.rendering import see_other
from jobhub.web.ui.session import HOME, SessionCheck, SessionController
from jobhub.web.ui.submit_form import SubmitController


@get("/", opt={"public": True}, include_in_schema=False)
async def to_the_pages() -> Response[bytes]:
    """Whoever comes with a browser wants the pages."""
    return see_other(HOME)


@get("/")
async def home(request: UserRequest) -> Response[bytes]:  # noqa: ARG001 - whoever is signed in
    """The first page."""
    return see_other(HOME)


@get("/{rest:path}")
async def no_such_page(request: UserRequest, rest: FromPath[str]) -> Response[bytes]:  # noqa: ARG001 - whatever it is
    """An address that leads nowhere, said in a page."""
    raise NotFoundException


def pages_router() -> Router:
    """The router of everything under /ui."""
    return Router(
        "/ui",
        route_handlers=[
            SessionController,
            home,
            my_jobs,
            BulkController,
            JobPageController,
            SubmitController,
            AccountController,
            list_events,
            job_events,
            SystemController,
            all_jobs,
            PeopleController,
            CleanUpController,
            asset,
            no_such_page,
        ],
        opt={"pages": True},
        middleware=[SessionCheck()],
        dependencies={"form": Provide(provide_form)},
        exception_handlers={**HANDLERS, ValidationException: on_http_exception},
        request_max_body_size=MAX_BODY_BYTES,
        include_in_schema=False,
    )
