"""How long one task is willing to wait for the database in all, whatever number of statements it runs.

Not here: how long a single statement may take (`store.database`).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Patience:
    """Seconds left. It is spent by the task that has it alone: one that this task starts may be working for others too."""

    def __init__(self, seconds: float) -> None:
        self.seconds_left = seconds
        self.task = asyncio.current_task()


_patience: ContextVar[Patience | None] = ContextVar("patience", default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """In the block, statements wait for the database no longer than this, all together."""
    before = _patience.set(Patience(seconds))
    try:
        yield
    finally:
        _patience.reset(before)


@contextmanager
def spending(limit_seconds: float) -> Iterator[float]:
    """When waiting has to end, by the clock of `time.monotonic`; what the block takes is gone from the task's patience."""
    mine = _patience.get()
    started_at = time.monotonic()
    if mine is None or mine.task is not asyncio.current_task():
        yield started_at + limit_seconds
        return
    try:
        yield started_at + min(limit_seconds, mine.seconds_left)
    finally:
        mine.seconds_left -= time.monotonic() - started_at
