"""The effects of handlers, told outside the database that is being tormented: one line per event, appended whole by whichever process.

The clock is CLOCK_MONOTONIC, which all processes of this machine share.
"""

import os
import time
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import msgspec

VARIABLE = "FAULTS_LEDGER"  # where handlers find its path


class Phase(StrEnum):
    """What happened to an attempt, as its handler saw it."""

    START = "start"
    EFFECT = "effect"  # what a real handler would do to the world; nothing but its return comes after
    STOPPED = "stopped"  # it was told to stop, and does


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One line."""

    job_id: UUID
    attempt: int
    phase: Phase
    pid: int
    at: float


def note(job_id: UUID, attempt: int, phase: Phase) -> None:
    """Append a line; one `write` to a file opened with O_APPEND is whole however many processes do so."""
    entry = Entry(job_id=job_id, attempt=attempt, phase=phase, pid=os.getpid(), at=time.monotonic())
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(entry) + b"\n")
    finally:
        os.close(descriptor)


def gate(path: Path) -> Path:
    """The file that lets jobs of type `faults.held` end, beside this ledger."""
    return path.with_name("gate")


def read(path: Path) -> list[Entry]:
    """All lines in the order they were written."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]
