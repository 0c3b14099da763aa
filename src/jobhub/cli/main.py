"""The `jobhub` command and its sub-commands. Not here: what they do (`cli.commands`, `cli.up`)."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from jobhub import __version__
from jobhub.cli.jobs import admin_commands, commands, login_commands
from jobhub.settings import Settings, read_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jobhub")
def jobhub() -> None:
    """Background jobs on PostgreSQL alone. Settings come from the environment, see .env.example."""


def _settings(**given: Any) -> Settings:
    """The environment's settings, with those given on the command line in their place."""
    settings = read_settings(os.environ)
    return msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


@jobhub.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where the API listens.  [default: 8000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the embedded database lives.  [default: .jobhub]")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="How many worker processes.")
@click.option("--reload", is_flag=True, help="Start API and workers anew when a Python file below this directory has changed.")
def up(port: int | None, data_dir: Path | None, workers: int, reload: bool) -> None:
    """Start everything: PostgreSQL (unless a database URL is set), API, workers."""
    from jobhub.cli.up import run_up

    raise SystemExit(run_up(_settings(port=port, data_dir=data_dir), workers=workers, reloads=Path.cwd() if reload else None))


@jobhub.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where the API listens.  [default: 8000]")
@click.option("--host", help="The address the API listens on.  [default: 127.0.0.1]")
def serve(port: int | None, host: str | None) -> None:
    """Run the API."""
    from jobhub.cli.commands import run_serve

    raise SystemExit(run_serve(_settings(port=port, host=host)))


@jobhub.command()
@click.option("--concurrency", type=click.IntRange(1, 10_000), help="How many jobs it runs at once.  [default: 20]")
@click.option("--queues", help="Only these queues, separated by commas.  [default: all]")
def worker(concurrency: int | None, queues: str | None) -> None:
    """Run a worker."""
    from jobhub.cli.commands import run_worker_process

    chosen = tuple(name.strip() for name in queues.split(",") if name.strip()) if queues else None
    raise SystemExit(run_worker_process(_settings(concurrency=concurrency, queues=chosen)))


@jobhub.command()
@click.argument("job_type", metavar="TYPE")
@click.argument("given", metavar="[FILE | NAME=VALUE]…", nargs=-1)
def run(job_type: str, given: tuple[str, ...]) -> None:
    """Run one handler here and now, without a service; for trying it. FILE is its parameters as JSON."""
    from jobhub.cli import run_handler

    raise SystemExit(run_handler.run(_settings(), job_type, given))


@jobhub.command()
@click.argument("directory", type=click.Path(path_type=Path))
def new(directory: Path) -> None:
    """Write a small working package of job types to start from."""
    from jobhub.cli.new import write_package

    for file in write_package(directory):
        click.echo(file)
    click.echo(f"\nNext: cd {directory}, then `make try`, `make run`, and `make test`, which needs pytest.")
    if Path(shutil.which("python3") or "").parent != Path(sys.executable).parent:
        click.echo(f"Before that: export PYTHON={sys.executable}")


@jobhub.command()
@click.option("--reporting-role", is_flag=True, help="Then make jobhub_report, a role that reads the reporting views, or put it right.")
@click.option("--reporting-private", is_flag=True, help="Let it read parameters, results, users' words and e-mail addresses too.")
@click.option("--password-stdin", is_flag=True, help="Read its password from standard input; else it keeps the one it has, or none.")
def migrate(reporting_role: bool, reporting_private: bool, password_stdin: bool) -> None:
    """Bring the database to the newest schema."""
    from jobhub.cli.commands import run_migrate, set_up_reporting

    if not reporting_role and (reporting_private or password_stdin):
        raise click.UsageError("--reporting-private and --password-stdin go with --reporting-role.")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    for name in run_migrate(_settings()):
        click.echo(f"applied {name}")
    if reporting_role:
        click.echo(set_up_reporting(_settings(), may_read_private=reporting_private, password=password))


@jobhub.group()
def users() -> None:
    """Manage accounts."""


@users.command()
@click.argument("email")
@click.option("--role", type=click.Choice(["user", "admin"]), default="user", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
def add(email: str, role: str, password_stdin: bool) -> None:
    """Create an account."""
    from jobhub.cli.commands import add_user

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = add_user(_settings(), email=email, role=role, password=password)
    click.echo(f"{user.role.value} {user.email} {user.id}")


@jobhub.command()
@click.argument("email")
def token(email: str) -> None:
    """Print an access token for an account; it is valid for 15 minutes."""
    from jobhub.cli.commands import make_token

    click.echo(make_token(_settings(), email=email))


@jobhub.command()
def doctor() -> None:
    """Check that everything is as it should be, and say what to do where it isn't."""
    from jobhub.cli.doctor import run_doctor

    findings = run_doctor(_settings())
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.name}: {finding.detail}")
        if finding.advice:
            click.echo(f"     → {finding.advice}")
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)


# Those of a client of the API.
admin_commands.add_to(commands.jobs)
for command in (commands.jobs, login_commands.login, login_commands.logout, login_commands.completion):
    jobhub.add_command(command)
