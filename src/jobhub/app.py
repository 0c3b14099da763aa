"""The API process put together: everything it is made of in one call. Not here: listening on a socket (`server`)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from jobhub.domain.job_types import Registry
from jobhub.domain.limits import NO_LIMITS, Limits
from jobhub.domain.submission import MAX_BODY_BYTES
from jobhub.services.figures import FigureReader
from jobhub.services.insight import USUAL, Insight, Thresholds
from jobhub.services.passwords import Passwords
from jobhub.services.provider import Provider, ProviderOptions
from jobhub.services.streams import StreamLimit
from jobhub.services.tokens import Keys
from jobhub.store.database import Database
from jobhub.store.live import Live
from jobhub.store.submissions import Submissions
from jobhub.store.users import Accounts
from jobhub.web.accounts import AuthController, UserController
from jobhub.web.admin import AdminController
from jobhub.web.auth import Authentication, WhoAsks
from jobhub.web.counting import ResponseCounts
from jobhub.web.events import EventController
from jobhub.web.health import livez, readyz
from jobhub.web.jobs import JobController, list_job_types
from jobhub.web.methods import AnswerOptions
from jobhub.web.metrics import metrics
from jobhub.web.openapi import assets_router, openapi_config, openapi_json
from jobhub.web.problems import HANDLERS
from jobhub.web.requests import StrictRequest, UrlCheck
from jobhub.web.resources import Resources, provide_resources
from jobhub.web.ui.router import pages_router, to_the_pages

POOL_SIZE = 10  # more connections than this make a two-core server slower, not faster


def create_litestar(
    *,
    dsn: str,
    keys: Keys,
    registry: Registry,
    provider: ProviderOptions | None = None,
    limits: Limits = NO_LIMITS,
    streams_per_user: int = 10,
    metrics_token: str | None = None,
    login_failures_per_address: int = 100,
    healthy: Thresholds = USUAL,
    stopping: asyncio.Event | None = None,
    who_asks: WhoAsks | None = None,
) -> Litestar:
    """The application; `web.edge.Edge` goes around it. Once `stopping` is set, nobody is made to wait any longer and every stream ends."""
    stopping = stopping or asyncio.Event()
    responses = ResponseCounts()

    @asynccontextmanager
    async def resources(app: Litestar) -> AsyncIterator[None]:
        passwords = Passwords()
        identities = Provider(provider) if provider else None
        try:
            opened = Database.open(app.state.dsn, max_size=POOL_SIZE, application_name="jobhub api")
            async with opened as db, _live(db, stopping) as live:
                app.state.resources = Resources(
                    db=db,
                    submissions=Submissions(db, limits),
                    accounts=Accounts(db),
                    live=live,
                    streams=StreamLimit(streams_per_user),
                    registry=registry,
                    passwords=passwords,
                    keys=keys,
                    provider=identities,
                    insight=Insight(db, healthy),
                    figures=FigureReader(db, registry),
                    responses=responses,
                    metrics_token=metrics_token,
                    login_failures_per_address=login_failures_per_address,
                )
                yield
        finally:
            passwords.close()
            if identities:
                await identities.close()

    # The pages are for accounts with a password of ours, and link to each other by whole paths.
    pages: list[ControllerRouterHandler] = [] if who_asks else [to_the_pages, pages_router()]
    return Litestar(
        route_handlers=[
            JobController,
            EventController,
            AdminController,
            list_job_types,
            AuthController,
            UserController,
            livez,
            readyz,
            metrics,
            openapi_json,
            assets_router(),
            *pages,
        ],
        lifespan=[resources],
        state=State({"dsn": dsn}),  # not only the lifespan's, so that tests can run one application on many databases
        middleware=[AnswerOptions(), Authentication(who_asks), UrlCheck()],
        dependencies={"resources": Provide(provide_resources)},
        exception_handlers=HANDLERS,
        before_send=[responses.count_response],
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=openapi_config(),
        logging_config=None,
    )


@asynccontextmanager
async def _live(db: Database, stopping: asyncio.Event) -> AsyncIterator[Live]:
    """What watches jobs, until the block ends; told at once that the process is about to stop."""
    live = Live(db)

    async def end() -> None:
        await stopping.wait()
        live.end()

    ending = asyncio.create_task(end(), name="wait for the stop")
    try:
        yield live
    finally:
        ending.cancel()
        await live.close()
