"""The command line of a user and of an administrator, beside a running service."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobhub.client import Client
from tests.acceptance.service import Service, clean_environ


class CommandLine:
    """Runs `jobhub` commands as somebody."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    def __call__(self, *arguments: str, stdin: str = "", status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "jobhub", *arguments],
            env=self.environ | environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return done


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return clean_environ() | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "TZ": "UTC"}


@pytest.fixture
def nobody(environ: dict[str, str]) -> CommandLine:
    """Somebody who is not logged in."""
    return CommandLine(environ)


def _as(service: Service, email: str, password: str, environ: dict[str, str]) -> CommandLine:
    with Client(service.url) as client:
        token = client.log_in(email, password).access_token
    return CommandLine(environ | {"JOBHUB_URL": service.url, "JOBHUB_TOKEN": token})


@pytest.fixture
def user(jobhub_up: Service, account: tuple[str, str], environ: dict[str, str]) -> CommandLine:
    return _as(jobhub_up, *account, environ)


@pytest.fixture
def admin(jobhub_up: Service, administrator: tuple[str, str], environ: dict[str, str]) -> CommandLine:
    return _as(jobhub_up, *administrator, environ)
