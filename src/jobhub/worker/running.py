"""The jobs this process has claimed and not yet accounted for: what its memory says it runs."""

import asyncio
from collections.abc import Iterator
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
    """One attempt, from its claim until its outcome is recorded."""

    def __init__(self, claimed: ClaimedJob) -> None:
        self.claimed = claimed
        self.outcome: Outcome | None = None
        self.stop_reason: StopReason | None = None
        self.stopped = asyncio.Event()

    def stop(self, reason: StopReason) -> None:
        """Tell the attempt to end. The first reason counts, except that a fenced attempt has nothing to say any more."""
        if self.stop_reason is None or reason is StopReason.FENCED:
            self.stop_reason = reason
        self.stopped.set()


class RunningJobs:
    """All attempts of this process, by the number Procrastinate knows them by."""

    def __init__(self) -> None:
        self._by_number: dict[int, RunningJob] = {}
        self._next_number = 1

    def add(self, claimed: ClaimedJob) -> int:
        number = self._next_number
        self._next_number += 1
        self._by_number[number] = RunningJob(claimed)
        return number

    def __getitem__(self, number: int) -> RunningJob:
        return self._by_number[number]

    def pop(self, number: int) -> RunningJob:
        return self._by_number.pop(number)

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[RunningJob]:
        return iter(list(self._by_number.values()))

    def by_attempt(self) -> dict[tuple[UUID, int], RunningJob]:
        return {(running.claimed.id, running.claimed.attempt): running for running in self}
