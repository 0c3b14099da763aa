"""What handlers under measurement write down, and reading it back: how many had started by when, or the moment of each start.

The writer costs a job well under a microsecond unless each start is wanted. Every worker process has a file of its own, one line
`<nanoseconds of the wall clock> <figure>` at a time. `peers/node/starts.js` writes the same.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

DIRECTORY = "BENCH_STARTS_DIRECTORY"
EACH = "BENCH_EACH_START"  # "1": the figure is the job's number; else it is how many have started, every 5 ms
EVERY_NS = 5_000_000


class StartWriter:
    """The file of this process."""

    def __init__(self, environ: dict[str, str]) -> None:
        path = Path(environ[DIRECTORY]) / str(os.getpid())
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._each = environ.get(EACH) == "1"
        self._count = 0
        self._written_at = 0

    def record(self, number: int) -> None:
        """A job has started."""
        now = time.time_ns()
        if self._each:
            os.write(self._file, b"%d %d\n" % (now, number))
            return
        self._count += 1
        if now - self._written_at >= EVERY_NS:
            os.write(self._file, b"%d %d\n" % (now, self._count))
            self._written_at = now


def each_start(directory: Path) -> dict[int, int]:
    """The moment each job started first, in nanoseconds, by its number."""
    started: dict[int, int] = {}
    for moment, number in (line for file in directory.iterdir() for line in _lines(file)):
        started[number] = min(moment, started.get(number, moment))
    return started


def counted(directory: Path) -> list[tuple[int, int]]:
    """(nanoseconds, how many had started in all processes), in order of time."""
    lines = sorted((moment, file.name, count) for file in directory.iterdir() for moment, count in _lines(file))
    counts: dict[str, int] = {}
    found = []
    for moment, process, count in lines:
        counts[process] = count
        found.append((moment, sum(counts.values())))
    return found


def _lines(file: Path) -> Iterable[tuple[int, int]]:
    # The last line may still be on its way.
    for line in file.read_bytes().rpartition(b"\n")[0].splitlines():
        moment, figure = line.split()
        yield int(moment), int(figure)
