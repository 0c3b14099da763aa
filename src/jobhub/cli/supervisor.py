"""Keeping child processes running: restarted when they die, ended together. For `jobhub up`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog

from jobhub.postgres.process import die_with_parent

MAX_PAUSE_SECONDS = 30.0
# A child that lived this long had started well: the next death is counted from the beginning.
STARTED_WELL_SECONDS = 60.0
_log = structlog.get_logger("jobhub.up")


class Child:
    """One `jobhub` command in a process of its own."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "jobhub", *arguments]
        self._environ = environ
        self._deaths = 0
        self._started_at = 0.0
        self._start_again_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches it through us; it is told to end if we are killed."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),
        )

    def start_anew(self) -> None:
        """Start it once more after it was ended on purpose, as if it had never died."""
        self._deaths = 0
        self.start()

    def has_refused(self) -> bool:
        """Whether it ended by itself with an error, which it has told; not if a signal ended it."""
        return self.process is not None and (self.process.poll() or 0) > 0

    def tend(self) -> None:
        """Start it again if it has died, after a pause that doubles with each death in a row."""
        if self.process is not None and (status := self.process.poll()) is not None:
            self.process = None
            self._deaths = 1 if time.monotonic() - self._started_at > STARTED_WELL_SECONDS else self._deaths + 1
            pause = min(MAX_PAUSE_SECONDS, 0.25 * 2 ** min(self._deaths - 1, 10))
            self._start_again_at = time.monotonic() + pause
            _log.error("child_died", child=self.name, status=status, restart_in_seconds=pause)
        if self.process is None and time.monotonic() >= self._start_again_at:
            self.start()


class Supervisor:
    """Starts children on entering, ends them all on leaving."""

    def __init__(self, children: Sequence[Child], *, grace_seconds: float) -> None:
        self._children = children
        self._grace_seconds = grace_seconds

    def __enter__(self) -> Self:
        try:
            for child in self._children:
                child.start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def refused(self) -> str | None:
        """The name of a child that has ended by itself with an error, if one has since the last `tend`."""
        return next((child.name for child in self._children if child.has_refused()), None)

    def tend(self) -> None:
        """Start again whatever has died. Call it often."""
        for child in self._children:
            child.tend()

    def restart(self) -> None:
        """End them all, and start them anew."""
        self._end()
        for child in self._children:
            child.start_anew()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._grace_seconds
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("child_killed", pid=process.pid)
                process.kill()
                process.wait()
