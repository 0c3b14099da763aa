"""What commands print: tables for people, tab-separated lines where the output is piped, JSON for scripts.

Texts of jobs come from anywhere: what could steer a terminal is not printed, and nothing in them is markup.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console, OverflowMethod
from rich.table import Table
from rich.text import Text

from jobhub.contract.jobs import JobView
from jobhub.domain.jobs import JobStatus

COLOURS = {
    JobStatus.PENDING: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "dim",
}
# C0 and C1 controls, and what turns the direction of text.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile(r"[\t\n\u2028\u2029]+")


def printable(text: str) -> str:
    """A text without what could steer a terminal."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def console() -> Console:
    """Standard output: no colours unless it is a terminal, and no markup, whatever a text holds."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """One line of JSON, in UTF-8 whatever the locale is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table in which a long cell is cut, or, where nobody looks, a whole line for each row without headings."""
    _print(headings, list(rows), overflow="ellipsis")


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """A name and a value a line; those without a value are left out."""
    _print((), [(name, value) for name, value in fields if value not in (None, [], "", msgspec.UNSET)], overflow="fold")


def _print(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, overflow: OverflowMethod) -> None:
    out = console()
    if not out.is_terminal or (headings and out.width < _NARROW):
        for row in rows:
            print("\t".join(_BREAKS.sub(" ", printable(_text(cell))) for cell in row))
        return
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(headings))
    for heading in headings or ("", ""):
        table.add_column(heading, no_wrap=overflow == "ellipsis", overflow=overflow, min_width=36 if heading in _IDS else None)
    for row in rows:
        table.add_row(*(cell_text(cell) for cell in row))
    out.print(table)


_NARROW = 60  # columns; a table would show ids and nothing else
_IDS = ("id", "worker")  # whole, or they are of no use


def cell_text(cell: Any) -> Text:
    """A cell of a table."""
    return Text(printable(_text(cell)), style=COLOURS.get(cell, "") if isinstance(cell, JobStatus) else "")


def _text(cell: Any) -> str:
    match cell:
        case None:
            return "-"
        case datetime():
            return cell.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{cell:.3g}"
        case dict() | list():
            return msgspec.json.encode(cell).decode()
        case _:
            return str(cell)


HEADINGS = ("id", "type", "status", "%", "created", "title")


def row_of(job: JobView) -> tuple[Any, ...]:
    """A job as a line of a list."""
    return (job.id, job.job_type, job.status, job.progress_percentage, job.created_at, job.title)


def print_job(job: JobView) -> None:
    """All of a job that says something."""
    queue = job.queue or None
    print_fields(
        [
            *((name, getattr(job, name)) for name in ("id", "job_type", "title", "description", "status")),
            ("waits for", queue and f"{queue.reason}{f', position {queue.position}' if queue.position else ''}"),
            ("progress", f"{job.progress_percentage} % {job.progress_message or ''}".rstrip()),
            *((name, getattr(job, name)) for name in ("parameters", "tags", "priority", "result", "error_code", "error_message")),
            ("attempt", f"{job.attempt} of at most {job.max_attempts} that fail" if job.max_attempts > 1 else job.attempt),
            *((name, getattr(job, name)) for name in ("scheduled_for", "created_at", "started_at", "completed_at")),
            *((name, getattr(job, name)) for name in ("cancel_requested_at", "intervened_by", "intervention_reason", "pinned_at")),
        ]
    )
