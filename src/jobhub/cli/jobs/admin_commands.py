"""`jobhub jobs` for administrators: all, stats, queue, force-complete, pin, unpin, cleanup. Not here: what they do (`admin_acts`)."""

from typing import Any, BinaryIO

import rich_click as click

from jobhub.cli.jobs.commands import as_json, filters, one_job, some_jobs


@click.command("all")
@filters
@click.option("--owner", help="Only of this user: id or e-mail address.")
@click.option("--worker", type=click.UUID, help="Only those this worker ran last.")
@click.option("--text", help="Only with this in the title.")
@as_json
def list_all(**options: Any) -> None:
    """List everybody's jobs, newest first (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.list_all_jobs(**options)


@click.command()
@click.option("--window", type=click.Choice(["1h", "24h", "7d", "30d", "all"]), default="24h", show_default=True, help="How far back.")
@as_json
def stats(window: str, as_json: bool) -> None:
    """Show counts, rates and times (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.show_statistics(window, as_json=as_json)


@click.command()
@as_json
def queue(as_json: bool) -> None:
    """Show what waits, what runs and whether that is healthy (administrators); exit status 8 if it is not."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.show_queue(as_json=as_json)


@click.command("force-complete")
@one_job
@click.option("--result", type=click.File("rb"), help="A file with its result, a JSON object; - for standard input.")
@click.option("--reason", help="Shown with the job.")
@as_json
def force_complete(job_id: Any, result: BinaryIO | None, reason: str | None, as_json: bool) -> None:
    """Complete a job by hand (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.force_complete(job_id, result=result, reason=reason, as_json=as_json)


@click.command()
@some_jobs
@click.option("--reason", help="For the audit log.")
@as_json
def pin(job_ids: tuple[Any, ...], reason: str | None, as_json: bool) -> None:
    """Keep jobs from every clean-up (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.pin(job_ids, reason=reason, as_json=as_json)


@click.command()
@some_jobs
@click.option("--reason", help="For the audit log.")
@as_json
def unpin(job_ids: tuple[Any, ...], reason: str | None, as_json: bool) -> None:
    """Let clean-ups have jobs again (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.unpin(job_ids, reason=reason, as_json=as_json)


@click.command()
@click.option("--days-old", type=click.IntRange(0, 36_500), default=30, show_default=True, help="Finished at least so long ago.")
@click.option("--include-cancelled", is_flag=True, help="Not only completed jobs. Failed and pinned ones are always kept.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@as_json
def cleanup(days_old: int, include_cancelled: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete old finished jobs (administrators)."""
    from jobhub.cli.jobs import admin_acts

    admin_acts.clean_up(days_old=days_old, include_cancelled=include_cancelled, dry_run=dry_run, is_sure=yes, as_json=as_json)


def add_to(group: click.Group) -> None:
    """Put them into a group."""
    for command in (list_all, stats, queue, force_complete, pin, unpin, cleanup):
        group.add_command(command)
