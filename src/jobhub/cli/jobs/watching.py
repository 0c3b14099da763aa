"""Following jobs at a terminal: a live table with bars; lines where nobody looks; and what Ctrl-C means."""

import queue
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import nullcontext
from uuid import UUID

import rich_click as click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobhub.cli.jobs.exits import Exit, exit_of_job
from jobhub.cli.jobs.printing import COLOURS, cell_text, print_json, print_rows, printable, row_of
from jobhub.client import Client
from jobhub.contract.jobs import JobView
from jobhub.domain.jobs import JobStatus

_NARROW = 97  # columns; beyond the id there would be no place for the rest
MAX_ROWS = 30  # those that changed last; a terminal has no more, and the eye neither


def follow(client: Client, job_ids: Sequence[UUID], *, as_json: bool) -> Exit:
    """Show jobs until all of these are finished; without any, all of the user's, for ever. The status of the worst end.

    Raises:
        KeyboardInterrupt: Ctrl-C, and they were not to be cancelled.
    """
    out = Console(markup=False, highlight=False, emoji=False)
    shown = _Shown(job_ids, Live(console=out, refresh_per_second=4) if out.is_terminal and not as_json else None, as_json=as_json)
    return _follow(client, shown)


def follow_quietly(client: Client, job_id: UUID) -> JobView:
    """Wait for a job with a bar on standard error, if somebody looks there. Raises KeyboardInterrupt as `follow`."""
    err = Console(stderr=True, markup=False, highlight=False, emoji=False)
    shown = _Shown([job_id], Live(console=err, refresh_per_second=4, transient=True) if err.is_terminal else None, is_silent=True)
    _follow(client, shown)
    return shown.jobs[job_id]


class _Shown:
    """The jobs one looks at, and where."""

    def __init__(self, job_ids: Sequence[UUID], live: Live | None, *, as_json: bool = False, is_silent: bool = False) -> None:
        self.wanted = frozenset(job_ids)
        self.jobs: dict[UUID, JobView] = {}
        self.live = live
        self._as_json = as_json
        self._is_silent = is_silent

    def take(self, job: JobView) -> None:
        """Show a new state."""
        self.jobs.pop(job.id, None)
        self.jobs[job.id] = job  # the last one now
        if self.live is not None:
            self.live.update(self.table())
        elif self._as_json:
            print_json(job)
        elif not self._is_silent:
            print_rows((), [(*row_of(job), job.progress_message or "")])
            sys.stdout.flush()

    def table(self) -> RenderableType:
        """Those that changed last, newest job first."""
        is_narrow = self.live is not None and self.live.console.width < _NARROW
        table = Table.grid(padding=(0, 1))
        for least in (8, 9, 8, 8) if is_narrow else (36, 12, 9, 24, 12):
            table.add_column(no_wrap=True, overflow="ellipsis", min_width=least)
        hidden = len(self.jobs) - MAX_ROWS
        for job in sorted([*self.jobs.values()][-MAX_ROWS:], key=lambda job: job.id, reverse=True):
            row = (cell_text(job.title), cell_text(job.status), _bar(job, width=8 if is_narrow else 24), cell_text(_remark(job)))
            table.add_row(*row if is_narrow else (cell_text(job.id), *row))
        return Group(table, Text(f"and {hidden} more")) if hidden > 0 else table

    @property
    def open(self) -> list[JobView]:
        """Those that are waited for and not finished."""
        return [job for job in self.jobs.values() if job.id in self.wanted and not job.status.is_finished]

    @property
    def is_over(self) -> bool:
        return bool(self.wanted) and self.wanted <= self.jobs.keys() and not self.open


def _bar(job: JobView, *, width: int) -> ProgressBar:
    colour = COLOURS[job.status] if job.status is not JobStatus.PENDING else "bar.complete"
    return ProgressBar(total=100, completed=job.progress_percentage, width=width, complete_style=colour, finished_style=colour)


def _remark(job: JobView) -> str:
    if job.status is JobStatus.RUNNING and job.cancel_requested_at:
        return f"{job.progress_percentage} % stopping …"
    if job.queue:
        return job.queue.reason + (f", position {job.queue.position}" if job.queue.position else "")
    return job.error_message or f"{job.progress_percentage} % {job.progress_message or ''}"


def _follow(client: Client, shown: _Shown) -> Exit:
    while True:
        try:
            with shown.live or nullcontext():
                _show_all(client, shown)
            return max((exit_of_job(job.status) for job in shown.jobs.values() if job.id in shown.wanted), default=Exit.DONE)
        except KeyboardInterrupt:
            if not _cancels(client, shown):
                raise


def _show_all(client: Client, shown: _Shown) -> None:
    for job in _states(client, shown):
        if not shown.wanted or job.id in shown.wanted:
            shown.take(job)
            if shown.is_over:
                return


def _states(client: Client, shown: _Shown) -> Generator[JobView, None, None]:
    match len(shown.wanted):
        case 0:
            return _own_states(client, shown)
        case 1:
            return client.watch(next(iter(shown.wanted)))
        case _:
            return _states_together(client, shown.wanted)


def _own_states(client: Client, shown: _Shown) -> Generator[JobView, None, None]:
    """What is going on and what is new, without what was over before one looked."""
    newest = max((job.id for job in client.list_jobs(limit=1)), default=UUID(int=0))
    for job in client.watch_own():
        if not job.status.is_finished or job.id in shown.jobs or job.id > newest:
            yield job


def _states_together(client: Client, job_ids: Iterable[UUID]) -> Generator[JobView, None, None]:
    """Several jobs, each by a thread of its own, until all are finished."""
    states: queue.SimpleQueue[JobView | Exception | None] = queue.SimpleQueue()

    def follow_one(job_id: UUID) -> None:
        try:
            for job in client.watch(job_id):
                states.put(job)
            states.put(None)
        except Exception as error:  # told by the thread that reads the queue
            states.put(error)

    following = [threading.Thread(target=follow_one, args=(job_id,), daemon=True) for job_id in job_ids]
    for thread in following:
        thread.start()
    left = len(following)
    while left:
        state = states.get()
        if isinstance(state, Exception):
            raise state
        if state is None:
            left -= 1
        else:
            yield state


def _cancels(client: Client, shown: _Shown) -> bool:
    """Ask whether Ctrl-C was meant for the jobs too, if there is somebody to ask."""
    if not shown.open or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    what = f"job {printable(shown.open[0].title)!r}" if len(shown.open) == 1 else f"these {len(shown.open)} jobs"
    try:
        if not click.confirm(f"\nCancel {what}?", err=True, default=False):
            return False
    except click.Abort:
        return False
    for job in shown.open:
        client.cancel(job, reason="Ctrl-C at a terminal")
    return True
