"""The event streams of open pages. EventSource sends the cookie, so they need no ticket.

A page says which rows it shows, in which versions: what has changed since comes at once, and a reconnect, which asks the same, misses
nothing. `row` carries a row as a page has it, `news` only says that there is more to see.
"""

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.users import User
from jobhub.services import accounts, sessions, waiting
from jobhub.services.jobs import PlacedJob
from jobhub.services.streams import EVENTS_SECONDS, Follower, News, StreamLimit
from jobhub.web.events import EventStream
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.schemas import utc_now
from jobhub.web.ui.rendering import fragment
from jobhub.web.ui.rows import Row

MAX_ROWS = 100
# All open pages together ask for so many whole pages a second, and are told so often of changes; with few of them each goes by
# static/live.js, and is told at once.
PAGES_PER_SECOND = 10
EVENTS_PER_SECOND = 100


@get("/events", media_type="text/event-stream")
async def list_events(request: UserRequest, resources: NamedDependency[Resources]) -> EventStream[PlacedJob | News]:
    """Of the rows `?rows=ID.VERSION,…`; with `newest=1` also when there is a newer job of one's own; with `owners=1` as administrators see
    them.
    """
    shown = _read_rows(request.query_params.get("rows", ""))
    shows_owners = request.query_params.get("owners") == "1" and request.user.is_admin
    events = _follower(request, resources).page(shown, newest=request.query_params.get("newest") == "1")
    owners = await _owners(resources, shown) if shows_owners else {}
    encode = partial(_row_event, owners=owners, streams=resources.streams)
    return EventStream(events, encode=encode, user=request.user, resources=resources)


@get("/jobs/{job_id:uuid}/events", media_type="text/event-stream")
async def job_events(request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources]) -> EventStream[News]:
    """Of one job, until it has ended."""
    await waiting.read(resources.live, job_id, by=request.user)  # a 404 can't be said later
    encode = partial(_news, streams=resources.streams)
    return EventStream(_follower(request, resources).news_of_job(job_id), encode=encode, user=request.user, resources=resources)


def _follower(request: UserRequest, resources: Resources) -> Follower:
    """One that ends with the session; to follow keeps no session alive."""
    session_id = request.scope["state"]["session_id"]

    async def look_again() -> User:
        return await sessions.user_of(resources.db, session_id, is_use=False)

    def pause_seconds() -> float:
        return max(EVENTS_SECONDS, resources.streams.total / EVENTS_PER_SECOND)

    return Follower(resources.db, resources.live, request.user, look_again, pause_seconds=pause_seconds)


def _read_rows(text: str) -> dict[UUID, int]:
    """Raises InvalidInput: not what our own pages ask for."""
    try:
        pairs = [part.split(".") for part in text.split(",") if part][: MAX_ROWS + 1]
        shown = {UUID(job_id): int(version) for job_id, version in pairs}
    except ValueError:
        shown = {}
        pairs = []
    if len(pairs) > MAX_ROWS or (text and not shown) or any(not 0 <= version < 2**63 for version in shown.values()):
        raise InvalidInput([FieldError("?rows", f"must be at most {MAX_ROWS} of ID.VERSION with commas between them")])
    return shown


async def _owners(resources: Resources, shown: dict[UUID, int]) -> dict[UUID, str]:
    jobs = await resources.live.read_all(list(shown), owner_id=None)
    return {owner_id: await accounts.email_of(resources.accounts, owner_id) for owner_id in {job.owner_id for job in jobs}}


def _row_event(told: PlacedJob | News, *, owners: dict[UUID, str], streams: StreamLimit) -> bytes:
    if isinstance(told, News):
        return _news(told, streams=streams)
    row = Row(placed=told, now=utc_now(), owner_email=owners.get(told.job.owner_id))
    html = fragment("parts.html", "job_row", row)
    return _event("row", {"id": told.job.id, "status": told.job.status, "html": html, "pace_seconds": _pace_seconds(streams)})


def _news(told: News, *, streams: StreamLimit) -> bytes:
    return _event("news", {"id": told.job_id, "version": told.version, "pace_seconds": _pace_seconds(streams)})


def _pace_seconds(streams: StreamLimit) -> float:
    """How long a page waits at least before it is asked for again."""
    return streams.total / PAGES_PER_SECOND


def _event(name: str, content: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(content))
