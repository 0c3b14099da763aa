"""A terminal with a program in it: what it shows, and keys to press."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")


class Terminal:
    """The side of a person."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.raw = ""

    @property
    def shown(self) -> str:
        """All it has shown so far, without what moves the cursor or colours."""
        return _ESCAPES.sub("", self.raw)

    def wait_for(self, text: str, *, seconds: float = 30, times: int = 1) -> None:
        """Read until a text was shown so often."""
        deadline = time.monotonic() + seconds
        while self.shown.count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} was not shown within {seconds} s: {self.shown!r}"
            if not self._read(0.2):
                break
        assert self.shown.count(text) >= times, self.shown

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def interrupt(self, *, seconds: float = 30) -> int:
        """Ctrl-C until it has ended, as a person does: one that comes just before it waits for input is seen at the next key only."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end within {seconds} s: {self.shown!r}"
            self.press("\x03")
            for _ in range(10):
                if not self._read(0.1):
                    break
        return self.end()

    def end(self, *, seconds: float = 30) -> int:
        """Its exit status; all it showed is read first."""
        deadline = time.monotonic() + seconds
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it did not end within {seconds} s: {self.shown!r}"
        return self.process.wait(seconds)

    def _read(self, seconds: float) -> bool:
        """Whether there may be more."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # Linux' way to say that the other side is closed
            return False
        self.raw += piece.decode(errors="replace")
        return bool(piece)


@contextmanager
def terminal(
    *arguments: str, environ: dict[str, str], columns: int = 140, program: tuple[str, ...] = (sys.executable, "-m", "jobhub")
) -> Iterator[Terminal]:
    """`jobhub` with these arguments, at a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*program, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ | {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"},
        start_new_session=True,
        preexec_fn=_control_terminal,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


def _control_terminal() -> None:
    """Make it the terminal whose Ctrl-C reaches the program."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
