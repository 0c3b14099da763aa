"""What clients asked, what they were answered, and what they saw of jobs: as any user could have written it down."""

import threading
from enum import Enum, auto
from typing import Any
from uuid import UUID

import msgspec


class Answer(Enum):
    """What a client knows after a call."""

    OK = auto()  # it was done
    REFUSED = auto()  # it was not done: a 4xx
    UNKNOWN = auto()  # a 5xx, or no answer at all: it may have been done


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A job as an answer showed it."""

    job_id: UUID
    status: str
    version: int
    attempt: int
    cancel_requested: bool = False
    result: Any = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer; `at` counts in seconds of the monotonic clock. `title` is what a submit names its job by."""

    client: str
    verb: str
    asked_at: float
    answered_at: float
    answer: Answer
    status: int | None = None
    has_retry_after: bool = False
    is_bodiless: bool = False  # a 5xx that is no problem document
    job_id: UUID | None = None
    title: str | None = None
    seen: Seen | None = None
    error: str = ""

    @property
    def seconds(self) -> float:
        return self.answered_at - self.asked_at


class History:
    """All calls of all clients, in the order of their answers."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)
