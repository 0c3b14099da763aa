"""Waiting until something changes, many at once: while anybody waits, one look at all of it is repeated; nobody waits, nothing runs.

Whoever waits holds a future: no connection, no thread, no task. Not here: what is looked at (`store.live`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import structlog

from jobhub.domain.errors import DatabaseUnavailable

Key = TypeVar("Key")
State = TypeVar("State")

# Half of the time passes between looks, also where one takes long: many who wait make them rarer and don't fill the database.
_PAUSES_PER_LOOK = 1
_LONGEST_PAUSE_SECONDS = 1.0  # also after a failure

_log = structlog.get_logger("jobhub.store")


class Watch(Generic[Key, State]):
    """Calls `look`, again and again until nobody waits any more: given the states that are known, it answers those that are others now.

    Between two looks are `pause_seconds`, and `pause_seconds_each` for each who waits if that is longer.
    A look that fails is repeated a second later: an outage of the database ends no wait.
    """

    def __init__(
        self,
        look: Callable[[Mapping[Key, State]], Awaitable[Mapping[Key, State]]],
        *,
        pause_seconds: float,
        pause_seconds_each: float = 0.0,
    ) -> None:
        self._look = look
        self._pause_seconds = pause_seconds
        self._pause_seconds_each = pause_seconds_each
        self._waiting: dict[asyncio.Future[State], tuple[Key, State]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.is_over = False

    async def until_changed(self, key: Key, known: State, *, seconds: float) -> State:
        """The state of `key` once it differs from `known`; `known` itself after so many seconds, or when the watch is over.

        Nothing is missed between reading what is known and this call: states are compared, not events counted.
        """
        if self.is_over or seconds <= 0:
            return known
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[State] = loop.create_future()
        self._waiting[answer] = (key, known)
        deadline = loop.call_later(seconds, _settle, answer, known)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_while_anybody_waits(), name="watch")
        try:
            return await answer
        finally:
            deadline.cancel()
            del self._waiting[answer]

    def end(self) -> None:
        """Answer everybody who waits, or will, with what they know already: the process is about to end."""
        self.is_over = True
        for answer, (_, known) in self._waiting.items():
            _settle(answer, known)

    async def close(self) -> None:
        """End, and look no more."""
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _look_while_anybody_waits(self) -> None:
        try:
            while self._waiting:
                started_at = time.monotonic()
                was_answered = await self._look_once()
                took_seconds = time.monotonic() - started_at
                seconds = max(self._pause_seconds, min(_PAUSES_PER_LOOK * took_seconds, _LONGEST_PAUSE_SECONDS))
                seconds = max(seconds, self._pause_seconds_each * len(self._waiting))
                await asyncio.sleep(seconds if was_answered else _LONGEST_PAUSE_SECONDS)
        finally:
            self._looking = None

    async def _look_once(self) -> bool:
        """Whether there was an answer."""
        # Whoever comes while the look is on its way may know something newer than it tells, and must not be answered by it.
        asked = dict(self._waiting)
        known_of = dict(asked.values())  # where several know different states of a key, one of them: it is the present one, or answered
        try:
            present_of = {**known_of, **await self._look(known_of)}
        except DatabaseUnavailable:
            return False
        except Exception as error:
            # Nobody waits for this task to end; whatever it is, looking again is better than never answering anybody.
            _log.error("watch_failed", exc_info=error)
            return False
        for answer, (key, known) in asked.items():
            if present_of[key] != known:
                _settle(answer, present_of[key])
        return True


def _settle(answer: asyncio.Future[State], state: State) -> None:
    if not answer.done():
        answer.set_result(state)
