"""Noticing that a handler blocks the event loop, and saying so while it does: which jobs run, and where it is stuck.

The neighbours' leases don't need the loop (`worker.lease`), their handlers, timeouts and cancels do. Nothing can be done about it from
here: what blocks belongs in a plain `def`.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from jobhub.worker.running import RunningJobs

KNOCK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
MAX_FRAMES = 8  # the innermost ones: those of the handler and of what it calls
_log = structlog.get_logger("jobhub.worker")


class LoopWatchdog:
    """A thread that asks the event loop it was made on for a sign of life. One entry in the log when a block is noticed, one after it."""

    def __init__(self, running: RunningJobs) -> None:
        self._running = running
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Without joining it: we are on the loop it may be waiting for.
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(KNOCK_SECONDS):
            asked_at, answered = time.monotonic(), threading.Event()
            if not self._call(answered.set):
                return
            if not answered.wait(BLOCKED_SECONDS) and not self._stop.is_set():
                self._report()
                while not answered.wait(KNOCK_SECONDS) and not self._stop.is_set():
                    pass
                _log.warning("event_loop_free_again", seconds=round(time.monotonic() - asked_at, 1))

    def _call(self, answer: Callable[[], object]) -> bool:
        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:  # closed: the process is about to end
            return False
        return True

    def _report(self) -> None:
        job_types = Counter(running.claimed.job_type for running in self._running)
        frame = sys._current_frames().get(self._loop_thread)
        frames = traceback.extract_stack(frame)[-MAX_FRAMES:] if frame else []
        where = [f"{entry.filename}:{entry.lineno} {entry.name}" for entry in frames]
        _log.warning("event_loop_blocked", job_types=dict(job_types), where=where)
