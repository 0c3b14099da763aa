"""What the handlers of requests need, opened once per process and handed to them by name."""

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State

from jobhub.domain.job_types import Registry
from jobhub.domain.users import User
from jobhub.services.figures import FigureReader
from jobhub.services.insight import Insight
from jobhub.services.passwords import Passwords
from jobhub.services.provider import Provider
from jobhub.services.streams import StreamLimit
from jobhub.services.tokens import Keys
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.live import Live
from jobhub.store.submissions import Submissions
from jobhub.store.users import Accounts
from jobhub.web.counting import ResponseCounts


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The database, what is shared of its statements, who listens, the job types, the keys, and what is counted."""

    db: Database
    submissions: Submissions
    accounts: Accounts
    live: Live
    streams: StreamLimit
    registry: Registry
    passwords: Passwords
    keys: Keys
    provider: Provider | None
    insight: Insight
    figures: FigureReader
    responses: ResponseCounts
    metrics_token: str | None
    login_failures_per_address: int


async def provide_resources(state: State) -> Resources:
    """The resources the lifespan of the app has opened."""
    resources: Resources = state.resources
    return resources


UserRequest = Request[User, Any, Any]


def act_of(request: UserRequest, reason: str | None = None) -> Act:
    """Who does something by this request, for the audit log."""
    return Act(actor_id=request.user.id, reason=reason, request_id=request.scope["state"]["request_id"])
