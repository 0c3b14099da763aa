"""What docs/client.md and docs/command-line.md show is run, block by block, against a running service."""

import re
import sys
from pathlib import Path

import pytest

from jobhub.cli.jobs.exits import Exit
from jobhub.client import Client
from tests.acceptance.service import clean_environ
from tests.contract.documents import ROOT, blocks, console_steps, is_as_expected, run_steps

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def ada(jobhub_up, administrator):
    """The account the documents speak of."""
    with Client(jobhub_up.url, email=administrator[0], password=administrator[1]) as admin:
        if "ada@example.org" not in {user.email for user in admin.list_users()}:
            admin.create_user("ada@example.org", "correct horse battery")


def test_every_block_of_the_clients_guide_runs(jobhub_up, ada, capsys):
    namespace = {"__name__": "guide"}
    found = blocks("docs/client.md", "python")

    try:
        for number, block in enumerate(found):
            code = block.replace("http://127.0.0.1:8000", jobhub_up.url)
            exec(compile(code, f"docs/client.md, block {number + 1}", "exec"), namespace)
    finally:
        namespace["jobs"].close()

    printed = capsys.readouterr().out
    assert len(found) >= 6
    assert "completed {'steps': 3}" in printed
    assert "('/parameters/steps'" in printed
    assert "away for longer" not in printed


def test_the_three_lines_of_the_readme_run(jobhub_up, administrator, capsys):
    (block,) = blocks("README.md", "python")

    exec(block.replace("http://127.0.0.1:8000", jobhub_up.url).replace("…", administrator[1]), {})

    assert capsys.readouterr().out == "{'steps': 3}\n"


def test_every_command_of_the_guide_to_the_command_line_shows_what_it_says(jobhub_up, ada, administrator, tmp_path):
    environ = clean_environ() | {
        "XDG_CONFIG_HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "ADMIN_PASSWORD": administrator[1],
    }
    steps = console_steps("docs/command-line.md")
    for step in steps:
        step.command = step.command.replace("http://127.0.0.1:8000", jobhub_up.url)
        step.expected = [line.replace("http://127.0.0.1:8000", jobhub_up.url) for line in step.expected]

    shown = run_steps(steps, environ=environ, directory=tmp_path)

    assert len(shown) == len(steps) > 15
    wrong = [(step.command, step.expected, lines) for step, lines in zip(steps, shown, strict=True) if not is_as_expected(step, lines)]
    assert wrong == []


def test_the_guide_has_every_exit_status():
    table = re.findall(r"^\| (\d+) \|", (ROOT / "docs/command-line.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert [int(status) for status in table] == sorted(Exit)
