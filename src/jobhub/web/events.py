"""Event streams: jobs as Server-Sent Events. Source: WHATWG HTML, 9.2.

A stream tells states, not steps: the present one first, so that a reconnect misses nothing, whatever `Last-Event-ID` says.
Not here: what is told, and when (`services.streams`).
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.types import Receive, Scope, Send

from jobhub.domain.users import User
from jobhub.services import waiting
from jobhub.services.accounts import active_user
from jobhub.services.jobs import PlacedJob
from jobhub.services.streams import Follower
from jobhub.web.hangups import unless_gone
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.schemas import job_view

Ticket = Annotated[str | None, QueryParameter(max_length=100, description="From POST /auth/ticket, instead of the Authorization header")]
Told = TypeVar("Told")

_RECONNECT = b"retry: 2000\n\n"  # milliseconds; a restarted server is back in about this time
_HEARTBEAT = b": still here\n\n"
_GOODBYE = b": the server is about to stop, come again\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the events otherwise
]


class EventStream(Response[bytes], Generic[Told]):
    """The events of one stream, sent until they end, the client hangs up or the process is told to stop."""

    def __init__(
        self, events: AsyncGenerator[Told | None, None], *, encode: Callable[[Told], bytes], user: User, resources: Resources
    ) -> None:
        super().__init__(b"")
        self._events = events
        self._encode = encode
        self._limit = resources.streams
        self._user = user
        self._live = resources.live

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> Any:
        """The ASGI application that sends it."""
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._limit.hold(self._user):
            await unless_gone(receive, self._send_all(send, is_head=scope["state"].get("is_head", False)))

    async def _send_all(self, send: Send, *, is_head: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if not is_head:
            async with aclosing(self._events) as events:
                await _send_part(send, _RECONNECT)
                async for told in events:
                    await _send_part(send, _HEARTBEAT if told is None else self._encode(told))
            if self._live.jobs.is_over:
                await _send_part(send, _GOODBYE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


def _event(placed: PlacedJob) -> bytes:
    return b"id: %d\nevent: job\ndata: %b\n\n" % (placed.job.version, msgspec.json.encode(job_view(placed)))


class EventController(Controller):
    path = "/jobs"
    tags = ("jobs",)
    opt = {"takes_ticket": True}  # noqa: RUF012 - Litestar's interface

    @get("/{job_id:uuid}/events", media_type="text/event-stream", summary="Follow a job")
    async def follow(
        self, request: UserRequest, job_id: FromPath[UUID], resources: NamedDependency[Resources], ticket: Ticket = None
    ) -> EventStream[PlacedJob]:
        """Server-Sent Events: `job` with the whole job, `id:` its version. The current state comes first, so a reconnect misses nothing;
        then every change, at most four a second; a comment every 15 s. The stream ends after the final state.
        """
        await waiting.read(resources.live, job_id, by=request.user)  # a 404 can't be said later
        return _stream(request, resources, lambda follower: follower.job(job_id))

    @get("/events", media_type="text/event-stream", summary="Follow your jobs")
    async def follow_own(
        self, request: UserRequest, resources: NamedDependency[Resources], ticket: Ticket = None
    ) -> EventStream[PlacedJob]:
        """As the events of one job, for your 1,000 newest: first all of them as they are, oldest first, then each that changes or is new.
        The stream has no end.
        """
        return _stream(request, resources, lambda follower: follower.own_jobs())


def _stream(
    request: UserRequest, resources: Resources, follow: Callable[[Follower], AsyncGenerator[PlacedJob | None, None]]
) -> EventStream[PlacedJob]:
    follower = Follower(resources.db, resources.live, request.user, lambda: active_user(resources.accounts, request.user.id))
    return EventStream(follow(follower), encode=_event, user=request.user, resources=resources)
