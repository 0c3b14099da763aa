"""`jobhub up`: everything a single machine needs, under one process that keeps it running and ends it together."""

import os
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
import structlog

from jobhub.cli import state
from jobhub.cli.commands import add_user, with_database
from jobhub.cli.reloading import SECONDS_BETWEEN_LOOKS, Sources
from jobhub.cli.supervisor import Child, Supervisor
from jobhub.domain.errors import OperatorError
from jobhub.logs import configure_logging
from jobhub.postgres.embedded import EmbeddedServer, start_server
from jobhub.postgres.migrations import migrate
from jobhub.settings import Settings
from jobhub.store import dispatch, users

ADMINISTRATOR = "admin@jobhub.localhost"
READY_WITHIN_SECONDS = 60.0
_log = structlog.get_logger("jobhub.up")


class Stopped(Exception):
    """SIGTERM or SIGINT came."""


def run_up(settings: Settings, *, workers: int, reloads: Path | None = None) -> int:
    """Start everything, say when it is ready, keep it running until SIGTERM or SIGINT; the exit status.

    With `reloads`, API and workers are started anew when a Python file below that directory has changed.

    Raises:
        OperatorError: something can't be started; all that was is stopped again.
    """
    configure_logging(settings.log_level)
    url = f"http://{settings.host}:{settings.port}"
    try:
        with _signals_raise_stopped(), ExitStack() as stack:
            stack.enter_context(state.hold(settings.data_dir, state.Running(pid=os.getpid(), url=url, dsn="")))
            _check_port(settings)
            server = stack.enter_context(_database(settings))
            dsn = settings.database_url or (server.dsn if server else "")
            key = state.make_secret_keys(settings).current
            state.publish(settings.data_dir, state.Running(pid=os.getpid(), url=url, dsn=dsn))
            migrate(dsn)
            supervisor = stack.enter_context(
                Supervisor(_children(settings, dsn, key, workers), grace_seconds=settings.shutdown_grace_seconds + 20)
            )
            _wait_until_ready(supervisor, url, dsn, workers)
            _announce(settings, url, dsn)
            _keep_running(supervisor, server, Sources(reloads) if reloads else None)
    except Stopped:
        return 0


def _keep_running(supervisor: Supervisor, server: EmbeddedServer | None, sources: Sources | None) -> NoReturn:
    look_at = time.monotonic()
    while True:
        if sources and time.monotonic() >= look_at:
            if sources.have_changed():
                _log.info("sources_changed")
                supervisor.restart()
            look_at = time.monotonic() + SECONDS_BETWEEN_LOOKS
        supervisor.tend()
        if server:
            server.ensure_running()
        time.sleep(0.2)


@contextmanager
def _signals_raise_stopped() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # Only the first one counts: a second must not interrupt the clean-up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    yield


def _check_port(settings: Settings) -> None:
    """Say at once what the API process would say after a while."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise OperatorError(
                f"Port {settings.port} on {settings.host} can't be used ({error.strerror}): choose another with --port."
            ) from error


@contextmanager
def _database(settings: Settings) -> Iterator[EmbeddedServer | None]:
    if settings.database_url:
        yield None
        return
    from jobhub.postgres.binaries import find_binaries

    server = start_server(settings.data_dir / "postgres", find_binaries(os.environ), environ=os.environ)
    try:
        yield server
    finally:
        server.stop()


def _children(settings: Settings, dsn: str, key: bytes, workers: int) -> list[Child]:
    environ = os.environ | {
        "JOBHUB_DATABASE_URL": dsn,
        "JOBHUB_SECRET_KEY": key.decode(),
        "JOBHUB_HOST": settings.host,
        "JOBHUB_PORT": str(settings.port),
        "JOBHUB_DATA_DIR": str(settings.data_dir),
        "JOBHUB_DEMO": "1",
    }
    return [Child("api", ["serve"], environ), *(Child(f"worker {number + 1}", ["worker"], environ) for number in range(workers))]


def _wait_until_ready(supervisor: Supervisor, url: str, dsn: str, workers: int) -> None:
    """Return when a job can be submitted and run."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    with httpx.Client(trust_env=False, timeout=5) as client:
        while not (_answers(client, url) and with_database(dsn, dispatch.count_live_workers) >= workers):
            if refused := supervisor.refused():
                raise OperatorError(f"The process {refused!r} could not start; what it said is above.")
            supervisor.tend()
            if time.monotonic() > deadline:
                raise OperatorError(f"The API or a worker was not ready within {READY_WITHIN_SECONDS:.0f} s; the log above says why.")
            time.sleep(0.05)


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _announce(settings: Settings, url: str, dsn: str) -> None:
    """Tell on standard output how to go on; the administrator's password is shown this once."""
    if not with_database(dsn, users.list_users):
        password = secrets.token_urlsafe(12)
        add_user(_with_url(settings, dsn), email=ADMINISTRATOR, role="admin", password=password)
        print(f"administrator {ADMINISTRATOR} {password}")
    print(f"ready {url}")
    print("\nTry it (the token is valid for 15 minutes):\n")
    elsewhere = "" if settings.data_dir == Settings().data_dir else f"JOBHUB_DATA_DIR={shlex.quote(str(settings.data_dir))} "
    print(f"  TOKEN=$({elsewhere}{_jobhub()} token {ADMINISTRATOR})")
    print(f"""  curl -s {url}/jobs -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\""")
    print("""    -d '{"job_type": "demo.steps", "title": "My first job"}'\n""", flush=True)


def _with_url(settings: Settings, dsn: str) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, database_url=dsn)


def _jobhub() -> str:
    """How the person at the terminal can call this program."""
    program = Path(sys.argv[0])
    try:
        return str(program.resolve().relative_to(Path.cwd().resolve())) if program.name == "jobhub" else f"{sys.executable} -m jobhub"
    except ValueError:
        return str(program)
