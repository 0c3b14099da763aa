"""`jobhub up` as a user starts it, and a client that talks to it over a real socket."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).parents[2]


class Service:
    """One running `jobhub up`."""

    def __init__(self, process: subprocess.Popen[str], *, port: int, data_dir: Path, output: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.data_dir = data_dir
        self._output = output
        self._clients: list[httpx.Client] = []

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> None:
        wait_for(lambda: f"ready {self.url}\n" in self.output or self.process.poll() is not None, seconds=60)
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"

    def wait_until_answers(self) -> None:
        """After its API process was ended: until the next one answers."""
        wait_for(self._answers, seconds=60)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def administrator(self) -> tuple[str, str]:
        """E-mail address and password, as they were printed the first time."""
        line = next(line for line in self.output.splitlines() if line.startswith("administrator "))
        _, email, password = line.split()
        return email, password

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A `jobhub` command beside it, on the same data directory."""
        environ = clean_environ() | {"JOBHUB_DATA_DIR": str(self.data_dir)}
        return subprocess.run(
            [sys.executable, "-m", "jobhub", *arguments], input=stdin, env=environ, capture_output=True, text=True, timeout=60
        )

    def client(self, token: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
        self._clients.append(client)
        return client

    def end(self) -> None:
        """SIGTERM, and wait until it is gone."""
        for client in self._clients:
            client.close()
        self.process.terminate()
        self.process.wait(timeout=60)

    def log_in(self, email: str, password: str) -> httpx.Client:
        answer = httpx.post(f"{self.url}/auth/token", json={"email": email, "password": password}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return self.client(answer.json()["access_token"])


@contextmanager
def service(
    *arguments: str, data_dir: Path | None = None, python: Path | str = sys.executable, cwd: Path | None = None, **environ: str
) -> Iterator[Service]:
    """`jobhub up` on a free port; ended with SIGTERM, and everything of it must be gone then."""
    directory = Path(tempfile.mkdtemp(prefix="jobhub-up-"))
    directory.chmod(0o755)  # as root the server runs as somebody else, who must be able to come here
    data_dir = data_dir or directory / "data"
    output = directory / "stdout"
    port = free_port()
    with output.open("w") as stdout, (directory / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [str(python), "-m", "jobhub", "up", "--port", str(port), "--data-dir", str(data_dir), *arguments],
            env=clean_environ() | environ,
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
    started = Service(process, port=port, data_dir=data_dir, output=output)
    try:
        started.wait_until_ready()
        yield started
    except BaseException:
        print((directory / "stderr").read_text()[-5000:])
        raise
    finally:
        started.end()
        shutil.rmtree(directory, ignore_errors=True)


def clean_environ() -> dict[str, str]:
    """The environment without what would steer jobhub."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("JOBHUB_", "DATABASE_URL", "PG"))}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], Any], *, seconds: float) -> Any:
    """What `look` returns once that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.05)
    return found


def children_of(pid: int) -> list[int]:
    """The pids of a process's children and theirs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children_of(child)]
    return found


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
