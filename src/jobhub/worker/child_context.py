"""The contexts of handlers that run in a process of their own, and how they reach the worker. Not here: the process (`worker.child`)."""

import contextlib
import math
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from jobhub.worker.messages import CANCEL, Message, Order, ProgressMessage
from jobhub.worker.texts import storable_text

# A handler may report a million times; the worker writes once a second anyway.
SECONDS_BETWEEN_REPORTS = 0.1


class Parent:
    """The worker: told things in lines, each whole, whichever thread they come from."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._newest: ProgressMessage | None = None
        self._reported_at = 0.0
        self._behind = threading.Event()
        threading.Thread(target=self._catch_up, daemon=True).start()

    def report(self, report: ProgressMessage) -> None:
        """At once, if the last one is a while ago: a handler that crashes next shows how far it came. Else a thread does it."""
        if time.monotonic() - self._reported_at >= SECONDS_BETWEEN_REPORTS:
            self._reported_at = time.monotonic()
            self.tell(report)
        else:
            self._newest = _later(self._newest, report)
            self._behind.set()

    def tell(self, message: Message) -> None:
        """Send what is still unsent, and this."""
        with self._lock:
            newest, self._newest = self._newest, None
            if newest:
                self._write(newest)
            self._write(message)

    def _write(self, message: Message) -> None:
        self._out.write(msgspec.json.encode(message) + b"\n")
        self._out.flush()

    def _catch_up(self) -> None:
        while self._behind.wait():
            time.sleep(SECONDS_BETWEEN_REPORTS)
            self._behind.clear()
            with contextlib.suppress(OSError, ValueError), self._lock:
                newest, self._newest = self._newest, None
                if newest:
                    self._write(newest)
                    self._reported_at = time.monotonic()


def _later(one: ProgressMessage | None, other: ProgressMessage) -> ProgressMessage:
    """Both in one."""
    if one is None:
        return other
    return ProgressMessage(max(one.percentage, other.percentage), one.message if other.message is None else other.message)


class Stop:
    """Whether the worker asked for an end, and who wants to know."""

    def __init__(self) -> None:
        self.is_asked = False
        self.is_cancel = False
        self._tell: Callable[[], object] | None = None

    def ask(self, words: bytes) -> None:
        self.is_cancel = self.is_cancel or CANCEL in words
        self.is_asked = True
        if self._tell:
            self._tell()

    def on_ask(self, tell: Callable[[], object]) -> None:
        """Call it when asked, or now if that was before; perhaps twice, if it happens in between."""
        self._tell = tell
        if self.is_asked:
            tell()


class _Context:
    """What both contexts have."""

    def __init__(self, order: Order, parent: Parent, stop: Stop) -> None:
        self.job_id: UUID = order.job_id
        self.owner_id: UUID = order.owner_id
        self.attempt: int = order.attempt
        self._job_type = order.job_type
        self._parent = parent
        self._stop = stop

    @cached_property
    def log(self) -> Any:
        # Importing structlog takes half as long as all the rest of a child's start, and many handlers log nothing.
        import structlog

        return structlog.get_logger("jobhub.handler").bind(job_id=str(self.job_id), job_type=self._job_type, attempt=self.attempt)

    def _report(self, percentage: float, message: str | None) -> None:
        with contextlib.suppress(Exception):  # whatever the handler's own classes raise, and a pipe it has closed
            number = float(percentage)
            if math.isfinite(number):  # JSON has no other numbers
                self._parent.report(ProgressMessage(number, None if message is None else storable_text(str(message))))


class ProcessContext(_Context):
    """The `ProcessJobContext` of a plain `def` handler."""

    @property
    def cancel_requested(self) -> bool:
        return self._stop.is_asked

    def progress(self, percentage: float, message: str | None = None) -> None:
        self._report(percentage, message)


class CoroutineContext(_Context):
    """The `JobContext` of an `async def` handler in quarantine."""

    @property
    def cancel_requested(self) -> bool:
        return self._stop.is_cancel

    async def progress(self, percentage: float, message: str | None = None) -> None:
        self._report(percentage, message)
