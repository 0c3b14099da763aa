"""The jobs this process has claimed and not yet accounted for: what its memory says it runs."""

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum, auto
from uuid import UUID

from jobhub.domain.jobs import ClaimedJob, Outcome


class StopReason(Enum):
    """Why a handler is told to stop before it has ended by itself."""

    CANCELLED = auto()  # its owner or an administrator asked for it
    TIMED_OUT = auto()
    SHUTDOWN = auto()  # this worker stops; another one starts the job again
    FENCED = auto()  # the job is not ours any more: force-completed, rescued, or our lease is over


class RunningJob:
    """One attempt, from its claim until its outcome is recorded.

    `on_stop` is called whenever it is told to stop while its handler runs, `on_end` once, with itself, when it has ended.
    """

    __slots__ = ("claimed", "has_ended", "on_end", "on_stop", "outcome", "stop_reason")

    def __init__(self, claimed: ClaimedJob) -> None:
        self.claimed = claimed
        self.outcome: Outcome | None = None
        self.stop_reason: StopReason | None = None
        self.has_ended = False
        self.on_stop: Callable[[], None] | None = None
        self.on_end: Callable[[RunningJob], None] | None = None

    def stop(self, reason: StopReason) -> None:
        """Tell the attempt to end. The first reason counts, except that a fenced attempt has nothing to say any more."""
        if self.stop_reason is None or reason is StopReason.FENCED:
            self.stop_reason = reason
        if self.on_stop:
            self.on_stop()

    def end(self, outcome: Outcome | None) -> None:
        """Say how it ended. The first word counts: a handler that was given up may still come to an end of its own."""
        if self.has_ended:
            return
        self.has_ended = True
        self.outcome = None if self.stop_reason is StopReason.FENCED else outcome
        if self.on_end:
            self.on_end(self)


class RunningJobs:
    """All attempts of this process that are not accounted for, those included that have ended and wait to be recorded."""

    def __init__(self) -> None:
        self._all: dict[tuple[UUID, int], RunningJob] = {}
        self._none_left = asyncio.Event()
        self._none_left.set()

    def add(self, claimed: ClaimedJob) -> RunningJob:
        running = RunningJob(claimed)
        self._all[claimed.id, claimed.attempt] = running
        self._none_left.clear()
        return running

    def remove(self, running: RunningJob) -> None:
        del self._all[running.claimed.id, running.claimed.attempt]
        if not self._all:
            self._none_left.set()

    async def none_left(self) -> None:
        """Return when there is none."""
        await self._none_left.wait()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[RunningJob]:
        return iter(list(self._all.values()))

    def by_attempt(self) -> dict[tuple[UUID, int], RunningJob]:
        return dict(self._all)
