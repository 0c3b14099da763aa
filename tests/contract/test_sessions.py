"""What the documents show of a shell is typed into one, beside a running service, and shows what they say.

What can't be typed as it stands is replaced here, where one can see by what. docs/command-line.md needs a terminal: it has its own test.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobhub.client import Client
from jobhub.postgres.binaries import find_binaries
from jobhub.settings import read_settings
from tests.acceptance.service import Service, clean_environ, free_port, service
from tests.contract.documents import ROOT, Step, blocks, console_steps
from tests.contract.shell import Shell

pytestmark = pytest.mark.xdist_group("sessions")

BIN = Path(sys.executable).parent
MAKE = f"make -C {ROOT} --no-print-directory --dry-run"
SUBMIT = """JOB=$(jobhub jobs submit demo.steps steps=8 seconds_per_step=0.3)
until call /jobs/$JOB | grep -q '"status":"running"'; do :; done"""


@pytest.fixture
def directory(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("session")
    (directory / "sql").symlink_to(ROOT / "sql")
    (directory / ".venv").symlink_to(BIN.parent)
    return directory


def open_shell(directory: Path, started: Service | None = None) -> Shell:
    programs = find_binaries(clean_environ()).bin_dir
    environ = clean_environ() | {
        "HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "PATH": f"{BIN}:{programs}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if started is not None:
        environ |= {"JOBHUB_DATA_DIR": str(started.data_dir), "ADMIN_PASSWORD": started.administrator()[1]}
    return Shell(directory, environ)


def steps(document: str, *, beside: Service | None = None, replaced: dict[str, str] | None = None) -> list[Step]:
    """The steps of a document; `replaced` has what begins a command and what is typed for all of it."""
    typed = []
    for step in console_steps(document):
        command = step.command
        for begin, other in (replaced or {}).items():
            if command.startswith(begin):
                command = other
        if beside is not None:
            command = command.replace("http://127.0.0.1:8000", beside.url)
            step.expected = [line.replace("http://127.0.0.1:8000", beside.url) for line in step.expected]
        typed.append(Step(command, step.expected))
    return typed


@pytest.fixture
def readme(directory) -> Iterator[tuple[Shell, Service]]:
    with service(JOBHUB_HTTP_ALLOW_PRIVATE="1") as started:
        shell = open_shell(directory, started)
        yield shell, started
        shell.end()


def test_the_readme_shows_what_it_says(readme, directory, empty_dsn):
    shell, started = readme
    output = directory / "output"
    output.write_text(started.output)
    port, echo_port = free_port(), free_port()
    first = "JOBHUB_HTTP_ALLOW_PRIVATE=1 make run"
    replaced = {
        "make ": f"{MAKE} run test",
        first: f"cat {output}",
        "pip wheel": f"pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist {ROOT}",
        "pip install": "pip install --quiet --dry-run --no-deps 'dist/jobhub-0.1.0-py3-none-any.whl[embedded]'",
        ".venv/bin/jobhub login": f'jobhub login {started.url} --email admin@jobhub.localhost --password-stdin <<< "$ADMIN_PASSWORD"',
        ".venv/bin/jobhub jobs submit": "jobhub jobs submit demo.steps steps=20 seconds_per_step=0.02 --wait",
        ".venv/bin/jobhub jobs watch": "timeout --preserve-status --signal INT 3 jobhub jobs watch; [ $? = 130 ]",
        "export JOBHUB_DATABASE_URL": f"export JOBHUB_DATABASE_URL='{empty_dsn}'",
        "export JOBHUB_SECRET_KEY": "export JOBHUB_SECRET_KEY=k3Jx0aB7qL9tYw2Zr5Vn8Pd4Ms6Gh1Ce",
        ".venv/bin/jobhub users add you": "jobhub users add you@example.org --role admin --password-stdin <<< 'correct horse battery'",
        ".venv/bin/jobhub serve": f"jobhub serve --port {port} &",
        ".venv/bin/jobhub worker": "jobhub worker &",
        ".venv/bin/jobhub migrate": "cd .. && jobhub migrate",
    }
    found = steps("README.md", beside=started, replaced=replaced)
    for step in found:
        step.command = step.command.replace("/tmp/echo.py", "echo.py").replace("9000", str(echo_port))
        step.expected = [line.replace("9000", str(echo_port)) for line in step.expected]
    start = next(number for number, step in enumerate(found) if step.command == f"cat {output}")
    end = next(number for number, step in enumerate(found) if "jobhub new" in step.command)

    for step in [*found[start:end], *found[:start], *found[end:]]:  # the tour begins with an empty service
        shell.follow(step)

    assert end - start > 25


@pytest.fixture
def guides(directory) -> Iterator[tuple[Shell, Service]]:
    """A service with the handlers of the guide, and a shell of ada's, with `call` as the README makes it."""
    (directory / "shop_jobs.py").write_text(blocks("docs/writing-handlers.md", "python")[0])
    with service(cwd=directory, JOBHUB_HANDLERS="shop_jobs") as started:
        (directory / ".jobhub").symlink_to(started.data_dir)
        with Client(started.url, email=started.administrator()[0], password=started.administrator()[1]) as admin:
            admin.create_user("ada@example.org", "correct horse battery")
        shell = open_shell(directory, started)
        for step in steps("README.md", beside=started):
            if step.command.startswith(("TOKEN=$(.venv/bin/jobhub token ada", "call()")):
                shell.follow(step)
        shell.follow(Step(f"export JOBHUB_URL={started.url} JOBHUB_TOKEN=$TOKEN", []))
        yield shell, started
        shell.end()


def test_the_guides_show_what_they_say(guides, directory):
    shell, started = guides
    dsn = re.search(r'"dsn":\s*"([^"]+)"', (directory / ".jobhub" / "up.json").read_text())[1]
    report_url = re.sub(r"//[^@/]*@", "//jobhub_report@", dsn)

    tried = "JOBHUB_HANDLERS=shop_jobs jobhub run shop.count_words text='to be or not to be'"
    for step in steps(
        "docs/writing-handlers.md",
        replaced={"JOBHUB_HANDLERS=shop_jobs make run": f"{MAKE} run >/dev/null", tried: f"{tried} 2>&1"},
    ):
        shell.follow(step)
    for step in steps("docs/watching-jobs.md", beside=started):
        shell.follow(Step(SUBMIT, []))
        shell.follow(step)

    (directory / "password.txt").write_text("a long password of readers\n")
    shell.follow(Step(f"TOKEN=$(jobhub token admin@jobhub.localhost); REPORT_URL='{report_url}'; JOBHUB_DATABASE_URL='{dsn}'", []))
    for step in steps("docs/reporting.md", replaced={'psql "postgresql://': 'psql "$REPORT_URL"'}):
        shell.follow(step)
    for step in steps("docs/statistics.md"):
        shell.follow(step)


def test_operations_are_as_they_are_described(guides, directory):
    shell, started = guides
    port = free_port()
    dsn = re.search(r'"dsn":\s*"([^"]+)"', (directory / ".jobhub" / "up.json").read_text())[1]
    shell.follow(Step(f"createdb -T template0 --maintenance-db '{dsn}' restored; JOBHUB_DATABASE_URL='{dsn}'", []))
    restored = re.sub(r"/jobhub(?=\?|$)", "/restored", dsn)
    replaced = {
        "pg_restore --no-owner": f"pg_restore --no-owner -d '{restored}' jobhub.dump",
        "jobhub migrate": f"JOBHUB_DATABASE_URL='{restored}' jobhub migrate",
        "jobhub up": f"jobhub up --workers 0 --port {port} > up.log & until grep -q ready up.log; do sleep 0.1; done",
    }
    found = steps("docs/operations.md", beside=started, replaced=replaced)
    doctor = next(step for step in found if step.command == "jobhub doctor")
    found.remove(doctor)

    for block in blocks("docs/operations.md", "sql"):
        (directory / "block.sql").write_text(block.replace("CREATE INDEX", "DROP INDEX IF EXISTS jobs_title_idx;\nCREATE INDEX"))
        shell.follow(Step('psql -v ON_ERROR_STOP=1 "$JOBHUB_DATABASE_URL" -f block.sql', []))
    for step in found:
        if step.command.startswith("mv "):
            started.end()
        shell.follow(step)
    shell.follow(doctor)  # it is one without workers that is shown
    shell.follow(Step("jobhub token ada@example.org > restored.txt; kill %1; wait", []))

    assert (directory / "restored.txt").stat().st_size > 20


def test_the_settings_of_the_guide_to_operations_are_read():
    (block,) = blocks("docs/operations.md", "sh")

    settings = read_settings({name: value.strip('"') for name, value in (line.split("=", 1) for line in block.splitlines())})

    assert settings.retention
    assert settings.retention_attempts
    assert settings.retention_audit


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "bench/README.md"])
def test_what_developers_type_is_there(document, directory):
    shell = open_shell(directory)
    try:
        for step in steps(document):
            command = step.command.partition("#")[0].strip()
            shell.follow(Step(f"{command.replace('make', MAKE, 1)}" if command.startswith("make") else f"cd {ROOT}; {command} --help", []))
    finally:
        shell.end()
