"""Worker processes under measurement: started, watched and stopped; what they and the server used, read from /proc (Linux)."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from bench import starts

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 30


class Unmeasured(Exception):
    """A peer did not do what was asked of it in time; the report says so in its place."""


class Workers:
    """The processes of one peer on one database, and what their handlers wrote down."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], directory: Path) -> None:
        self.processes = processes
        self.directory = directory

    def wait_for(self, look: Callable[[], object], *, seconds: float, every_seconds: float = 0.005) -> None:
        """Until `look` says something true.

        Raises:
            Unmeasured: it didn't within the time, or a worker ended.
        """
        deadline = time.monotonic() + seconds
        while not look():
            if time.monotonic() > deadline:
                raise Unmeasured(f"nothing within {seconds:.0f} s")
            if any(process.poll() is not None for process in self.processes):
                raise Unmeasured("its worker ended")
            time.sleep(every_seconds)

    def started(self) -> int:
        """How many jobs have started, at most 5 ms ago."""
        counts = starts.counted(self.directory)
        return counts[-1][1] if counts else 0

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def peak_mib(self) -> float:
        """Resident memory at its highest, of the largest worker."""
        return max(peak_mib(process.pid) for process in self.processes)


@contextmanager
def running_workers(peer: ModuleType, dsn: str, *, count: int = 1, each_start: bool = False) -> Iterator[Workers]:
    """So many worker processes of a peer, ended after the block with SIGTERM, or SIGKILL if that takes too long."""
    directory = Path(tempfile.mkdtemp(prefix="jobhub-bench-starts-"))
    environ = os.environ | peer.environ(dsn) | {starts.DIRECTORY: str(directory), starts.EACH: "1" if each_start else "0"}
    processes = [
        subprocess.Popen(peer.command(dsn), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)
    ]
    try:
        yield Workers(processes, directory)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)
        shutil.rmtree(directory, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int, *, without: int = 0) -> float:
    """What a process and its descendants have used so far, those it has waited for included; not the process `without`.

    source: proc_pid_stat(5): utime, stime, cutime, cstime
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = sum(int(field) for field in fields[11:15]) / _TICKS_PER_SECOND
    return own + sum(cpu_seconds(child, without=without) for child in _children(pid) if child != without)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def peak_mib(pid: int) -> float:
    """Resident memory at its highest."""
    return _memory_mib(pid, "VmHWM")


def resident_mib(pid: int) -> float:
    """Resident memory now."""
    return _memory_mib(pid, "VmRSS")


def _memory_mib(pid: int, field: str) -> float:
    """source: proc_pid_status(5), in KiB"""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise Unmeasured(f"no {field} of process {pid}")
