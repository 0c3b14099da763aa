"""Following jobs by their event streams, over any number of connections.

A stream tells states: the present one first. So whoever connects again has missed nothing, and what was seen is not told twice.
"""

import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from jobhub.client.calls import Calls
from jobhub.client.errors import NoAnswer, UnexpectedAnswer
from jobhub.client.events import Event, EventParser
from jobhub.client.exchange import Session, exchange
from jobhub.client.operations import JobRef, id_of
from jobhub.client.steps import Emit, Emitting, Read, Sleep, Steps
from jobhub.contract.jobs import JobView

RECONNECT_SECONDS = 2.0  # unless the service says otherwise


def watch(session: Session, job: JobRef) -> Emitting[JobView]:
    """A job as it is now, and again whenever it has changed, until it is finished.

    A lost connection is made anew; what happened meanwhile is told as one change.

    Raises:
        NotFound: there is none, it is not yours, or it was deleted meanwhile.
        NoAnswer, Unavailable: the service was away for longer than the client's patience.
    """
    return Emitting(_follow(session, f"/jobs/{id_of(job)}/events", is_last=lambda job: job.status.is_finished))


def watch_own(session: Session) -> Emitting[JobView]:
    """Your 1,000 newest jobs as they are now, oldest first, then each that is new or has changed. It has no end: stop when you like."""
    return Emitting(_follow(session, "/jobs/events", is_last=lambda _job: False))


class _Progress:
    """What one following remembers from connection to connection."""

    def __init__(self) -> None:
        self.seen: dict[UUID, int] = {}
        self.heard_at = time.monotonic()
        self.reconnect_seconds = RECONNECT_SECONDS

    def is_news(self, job: JobView) -> bool:
        is_news = job.version > self.seen.get(job.id, 0)
        self.seen[job.id] = max(job.version, self.seen.get(job.id, 0))
        return is_news


def _follow(session: Session, path: str, *, is_last: Callable[[JobView], bool]) -> Steps[None]:
    progress = _Progress()
    while True:
        lost: NoAnswer | None = None
        yield from exchange(session, Calls(session.timeout_seconds).events(path))
        try:
            if (yield from _emit_events(progress, is_last)):
                return
        except NoAnswer as error:
            lost = error
        if time.monotonic() - progress.heard_at > session.patience_seconds:
            raise lost or NoAnswer("The event stream ends again and again without a word.", may_have_been_done=True)
        yield Sleep(progress.reconnect_seconds)


def _emit_events(progress: _Progress, is_last: Callable[[JobView], bool]) -> Steps[bool]:
    """Whether the last state of all was emitted; the connection has ended otherwise."""
    parser = EventParser()
    while (piece := (yield Read())) is not None:
        progress.heard_at = time.monotonic()
        for event in parser.feed(piece):
            job = _job_of(event)
            if progress.is_news(job):
                yield Emit(job)
                if is_last(job):
                    return True
        progress.reconnect_seconds = parser.reconnect_seconds or RECONNECT_SECONDS
    return False


def _job_of(event: Event) -> JobView:
    try:
        return msgspec.json.decode(event.data, type=JobView)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswer(200, f"{error} in the event {event.data[:100]!r}") from error
