"""`jobhub jobs` for everybody: submit, list, get, watch, cancel, retry, attempts, types, me. Not here: what they do (`acts`)."""

from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from jobhub.domain.jobs import JobStatus

STATUSES = click.Choice([status.value for status in JobStatus])
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each job or answer.")
one_job = click.argument("job_id", metavar="JOB_ID", type=click.UUID)
some_jobs = click.argument("job_ids", metavar="JOB_ID…", nargs=-1, required=True, type=click.UUID)


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    from datetime import UTC, datetime

    from jobhub.cli.jobs.parameters import read_time

    try:
        return None if text is None else read_time(text, now=datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def filters(command: Any) -> Any:
    """The options of every list."""
    for option in (
        click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first."),
        click.option("--before", callback=_moment, help="Only those submitted before this time."),
        click.option("--after", callback=_moment, help="Only those submitted after this time: -2h, -7d or 2026-11-24T18:00."),
        click.option("--tag", "tags", multiple=True, help="Only with this tag; repeat it for several, all of them."),
        click.option("--type", "job_types", multiple=True, help="Only of this job type; repeat it for several, any of them."),
        click.option("--status", "statuses", multiple=True, type=STATUSES, help="Only with this status; repeat it for several."),
    ):
        command = option(command)
    return command


@click.group()
@click.option("--profile", help="The login to use; see `jobhub login`.  [default: JOBHUB_PROFILE, JOBHUB_TOKEN, or the login `default`]")
@click.pass_context
def jobs(context: click.Context, profile: str | None) -> None:
    """Submit jobs to a service and follow them, as a client of its API."""
    context.obj = profile


class _JobTypeName(click.ParamType[str]):
    name = "job type"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The job types of the service, if it answers."""
        from jobhub.cli.jobs.completing import complete_job_type

        return [CompletionItem(name, help=summary) for name, summary in complete_job_type(ctx, incomplete)]


@jobs.command()
@click.argument("job_type", metavar="TYPE", type=_JobTypeName())
@click.argument("pairs", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--parameters", "file", type=click.File("rb"), help="A file with the parameters as JSON, - for standard input.")
@click.option("--title", help="What to call the job.  [default: its type]")
@click.option("--description", help="More about it.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, show_default=True, help="Higher runs first.")
@click.option("--at", help="Not before this time: +10m, +2h, +3d or 2026-12-24T18:00.")
@click.option("--tag", "tags", multiple=True, help="A tag to find it by; repeat it for several.")
@click.option("--key", help="An Idempotency-Key: the same command with the same key makes one job.")
@click.option("--wait", is_flag=True, help="Wait until it is finished; the exit status says how it ended.")
@click.option("--timeout", type=click.FloatRange(min=0), help="With --wait: seconds after which it isn't waited for any more; no bar then.")
@as_json
def submit(job_type: str, pairs: tuple[str, ...], **options: Any) -> None:
    """Submit a job, and print its id.

    A value is a number, true, false or JSON where the job type wants that: `jobhub jobs types TYPE` shows its parameters.
    """
    from jobhub.cli.jobs import acts

    acts.submit(job_type, pairs, **options)


@jobs.command("list")
@filters
@as_json
def list_jobs(**options: Any) -> None:
    """List your jobs, newest first."""
    from jobhub.cli.jobs import acts

    acts.list_jobs(**options)


@jobs.command()
@one_job
@as_json
def get(job_id: Any, as_json: bool) -> None:
    """Show a job."""
    from jobhub.cli.jobs import acts

    acts.get(job_id, as_json=as_json)


@jobs.command()
@click.argument("job_ids", metavar="[JOB_ID]…", nargs=-1, type=click.UUID)
@as_json
def watch(job_ids: tuple[Any, ...], as_json: bool) -> None:
    """Follow jobs until they are finished; without ids all of yours, until Ctrl-C.

    Ctrl-C asks whether to cancel them. The exit status says how they ended.
    """
    from jobhub.cli.jobs import acts

    acts.watch(job_ids, as_json=as_json)


@jobs.command()
@some_jobs
@click.option("--reason", help="Shown with the job.")
@as_json
def cancel(job_ids: tuple[Any, ...], reason: str | None, as_json: bool) -> None:
    """Cancel jobs that are pending, ask those that run to stop."""
    from jobhub.cli.jobs import acts

    acts.cancel(job_ids, reason=reason, as_json=as_json)


@jobs.command()
@some_jobs
@as_json
def retry(job_ids: tuple[Any, ...], as_json: bool) -> None:
    """Run failed or cancelled jobs again."""
    from jobhub.cli.jobs import acts

    acts.retry(job_ids, as_json=as_json)


@jobs.command()
@one_job
@as_json
def attempts(job_id: Any, as_json: bool) -> None:
    """List the attempts of a job."""
    from jobhub.cli.jobs import acts

    acts.list_attempts(job_id, as_json=as_json)


@jobs.command()
@click.argument("job_type", metavar="[TYPE]", required=False, type=_JobTypeName())
@as_json
def types(job_type: str | None, as_json: bool) -> None:
    """List the job types you may submit, or the parameters of one."""
    from jobhub.cli.jobs import acts

    acts.list_job_types(job_type, as_json=as_json)


@jobs.command()
@as_json
def me(as_json: bool) -> None:
    """Show who you are, and how much of your limits is used."""
    from jobhub.cli.jobs import acts

    acts.show_me(as_json=as_json)
