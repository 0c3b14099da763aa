"""A whole service for a test: `jobhub up` on a free port with a database of its own, gone without a trace afterwards."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobhub.client import Client

STOPS_WITHIN_SECONDS = 40  # the grace of its jobs, and its database


class TemporaryService:
    """One that is running. `client` is an administrator's; `user()` makes others."""

    def __init__(self, url: str, client: "Client", stack: ExitStack) -> None:
        self.url = url
        self.client = client
        self._stack = stack

    def user(self) -> "Client":
        """A client of a new user, who sees only what is theirs."""
        from jobhub.client import Client

        email, password = f"{secrets.token_hex(8)}@example.org", secrets.token_hex(16)
        self.client.create_user(email, password)
        return self._stack.enter_context(Client(self.url, email=email, password=password))


@contextmanager
def temporary_service(
    *, handlers: Iterable[str] = (), environ: Mapping[str, str] | None = None, starts_within_seconds: float = 60
) -> Iterator[TemporaryService]:
    """API, one worker and PostgreSQL with these modules of handlers, for the time of the block; a few seconds until it is there.

    `environ` are settings of its own (`JOBHUB_…`); those of this process don't count. Modules may be in the current directory.

    Raises:
        RuntimeError: it did not start; the message has its output.
    """
    from jobhub.client import Client

    directory = Path(tempfile.mkdtemp(prefix="jobhub-"))
    directory.chmod(0o755)  # as root PostgreSQL runs as somebody else, who must be able to come here
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        url = f"http://127.0.0.1:{_free_port()}"
        output = directory / "output"
        process = _start(directory, url, output, _environ(handlers, environ or {}))
        stack.callback(_stop, process)
        password = _wait_until_ready(process, output, starts_within_seconds)
        client = stack.enter_context(Client(url, email="admin@jobhub.localhost", password=password))
        yield TemporaryService(url, client, stack)


def _environ(handlers: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("JOBHUB_", "DATABASE_URL"))}
    kept = {name: value for name, value in os.environ.items() if name.startswith("JOBHUB_PG_")}  # where PostgreSQL is
    return ours | kept | {"JOBHUB_HANDLERS": ",".join(handlers)} | dict(environ)


def _start(directory: Path, url: str, output: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobhub", "up", "--port", url.rpartition(":")[2], "--data-dir", str(directory / "data")]
    with output.open("wb") as out:
        return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], output: Path, seconds: float) -> str:
    """The administrator's password, once the service is ready."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        lines = output.read_text(errors="replace").splitlines()
        if any(line.startswith("ready ") for line in lines):
            return next(line.split()[2] for line in lines if line.startswith("administrator "))
        time.sleep(0.05)
    raise RuntimeError(f"jobhub up did not start:\n{output.read_text(errors='replace')[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
