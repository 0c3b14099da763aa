"""`jobhub up --reload`: what counts as a change, and that the changed handler runs."""

import os

import pytest

from jobhub.cli.reloading import Sources
from jobhub.client import Client
from tests.acceptance.service import service, wait_for

HANDLER = """
import jobhub, msgspec


class P(msgspec.Struct):
    pass


@jobhub.job_type("own.say")
async def say(ctx: jobhub.JobContext, params: P) -> str:
    return {said!r}
"""


def write(path, text="x = 1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_new_a_changed_and_a_removed_file_are_noticed_once(tmp_path):
    write(tmp_path / "a.py")
    sources = Sources(tmp_path)
    seen = [sources.have_changed()]
    for change in (
        lambda: write(tmp_path / "deep" / "b.py"),
        lambda: os.utime(tmp_path / "a.py", (1, 1)),
        lambda: (tmp_path / "a.py").unlink(),
    ):
        change()
        seen += [sources.have_changed(), sources.have_changed()]

    assert seen == [False, True, False, True, False, True, False]


@pytest.mark.parametrize("path", ["a.txt", ".git/a.py", "__pycache__/a.py", "node_modules/x/a.py", "env/lib/a.py"])
def test_what_is_no_source_is_no_change(tmp_path, path):
    write(tmp_path / "env" / "pyvenv.cfg")
    sources = Sources(tmp_path)

    write(tmp_path / path)

    assert not sources.have_changed()


@pytest.mark.xdist_group("client")
def test_a_changed_handler_runs_without_anything_being_done(tmp_path):
    write(tmp_path / "own_jobs.py", HANDLER.format(said="old"))

    with service("--reload", cwd=tmp_path, JOBHUB_HANDLERS="own_jobs", PYTHONDONTWRITEBYTECODE="1") as started:
        email, password = started.administrator()
        with Client(started.url, email=email, password=password) as client:

            def said() -> str:
                return client.wait(client.submit("own.say"), timeout_seconds=30).result

            before = said()
            write(tmp_path / "own_jobs.py", HANDLER.format(said="new"))
            wait_for(lambda: said() == "new", seconds=40)

    assert before == "old"
