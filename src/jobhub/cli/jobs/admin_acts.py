"""What the commands for administrators do."""

from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

import rich_click as click

from jobhub.cli.jobs.acts import print_all, read_object
from jobhub.cli.jobs.connection import connected
from jobhub.cli.jobs.exits import Exit
from jobhub.cli.jobs.printing import HEADINGS, print_fields, print_job, print_json, print_rows, row_of
from jobhub.contract.figures import QueueStatus, Statistics
from jobhub.contract.jobs import CleanUpView


def list_all_jobs(
    *,
    statuses: Sequence[str],
    job_types: Sequence[str],
    tags: Sequence[str],
    after: datetime | None,
    before: datetime | None,
    limit: int,
    owner: str | None,
    worker: UUID | None,
    text: str | None,
    as_json: bool,
) -> None:
    """Everybody's jobs."""
    with connected() as client:
        found = client.list_all_jobs(
            status=statuses,
            job_type=job_types,
            tag=tags,
            created_after=after,
            created_before=before,
            limit=limit,
            owner=owner,
            worker=worker,
            text=text,
        )
        if as_json:
            for job in found:
                print_json(job)
        else:
            print_rows((*HEADINGS, "owner"), ((*row_of(job), job.owner.email) for job in found))


def show_statistics(window: str, *, as_json: bool) -> None:
    """The figures of a window."""
    with connected() as client:
        statistics = client.statistics(window)
        if as_json:
            print_json(statistics)
        else:
            _print_statistics(statistics)


def _print_statistics(statistics: Statistics) -> None:
    counts = statistics.counts
    print_fields(
        [
            ("window", statistics.window.value),
            *((name, getattr(counts, name)) for name in counts.__struct_fields__),
            ("success rate", _percent(statistics.success_rate)),
            ("oldest pending", _seconds(statistics.oldest_pending_seconds)),
        ]
    )
    rows = [
        (
            one.job_type,
            one.counts.completed,
            one.counts.failed,
            one.counts.cancelled,
            _percent(one.success_rate),
            *(_seconds(times) for times in (one.processing_seconds.p50, one.processing_seconds.p95, one.waiting_seconds.p95)),
        )
        for one in statistics.by_type
    ]
    print_rows(("type", "completed", "failed", "cancelled", "success", "ran p50", "ran p95", "waited p95"), rows)
    print_rows(("error code", "failures"), [(failure.error_code, failure.count) for failure in statistics.failures])


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.1%}"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.3g} s"


def show_queue(*, as_json: bool) -> None:
    """The queue; the exit status is its health."""
    with connected() as client:
        status = client.queue_status()
        if as_json:
            print_json(status)
        else:
            _print_queue(status)
        raise SystemExit(Exit.DONE if status.healthy else Exit.NOT_HEALTHY)


def _print_queue(status: QueueStatus) -> None:
    print_rows(("check", "", ""), [(check.name, "ok" if check.ok else "BAD", check.detail) for check in status.checks])
    print_rows(("waiting", "due", "for later"), [(one.job_type, one.due, one.scheduled) for one in status.pending.by_type])
    print_rows(("running", "jobs"), [(one.job_type, one.running) for one in status.running.by_type])
    workers = [
        (worker.id, worker.host, worker.pid, "alive" if worker.alive else "LOST", f"{worker.running} of {worker.concurrency}")
        for worker in status.workers
    ]
    print_rows(("worker", "host", "pid", "", "runs"), workers)


def force_complete(job_id: UUID, *, result: BinaryIO | None, reason: str | None, as_json: bool) -> None:
    """Complete a job by hand."""
    with connected() as client:
        job = client.force_complete(job_id, result=read_object(result) if result else None, reason=reason)
        (print_json if as_json else print_job)(job)


def pin(job_ids: Sequence[UUID], *, reason: str | None, as_json: bool) -> None:
    """Keep jobs from clean-ups, one after the other."""
    with connected() as client:
        print_all([client.pin(job_id, reason=reason) for job_id in job_ids], as_json=as_json)


def unpin(job_ids: Sequence[UUID], *, reason: str | None, as_json: bool) -> None:
    """Let clean-ups have jobs again, one after the other."""
    with connected() as client:
        print_all([client.unpin(job_id, reason=reason) for job_id in job_ids], as_json=as_json)


def clean_up(*, days_old: int, include_cancelled: bool, dry_run: bool, is_sure: bool, as_json: bool) -> None:
    """Delete old jobs, once it is sure that this is meant."""
    with connected() as client:
        if not (dry_run or is_sure):
            preview = client.clean_up(days_old=days_old, include_cancelled=include_cancelled, dry_run=True)
            click.confirm(f"Delete {preview.deleted} jobs?", abort=True, err=True)
        done = client.clean_up(days_old=days_old, include_cancelled=include_cancelled, dry_run=dry_run)
        if as_json:
            print_json(done)
        else:
            _print_clean_up(done)


def _print_clean_up(done: CleanUpView) -> None:
    print_fields([("would delete" if done.dry_run else "deleted", done.deleted), ("finished before", done.cutoff)])
    print_rows(("type", "jobs"), sorted(done.by_type.items()))
