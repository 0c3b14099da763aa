"""`jobhub run`: one handler without a service."""

import json

import pytest

from tests.cli.test_main import refusal, run


def test_progress_is_shown_and_the_result_printed(tmp_path):
    (tmp_path / "p.json").write_text('{"steps": 9, "seconds_per_step": 0}')

    done = run("run", "demo.steps", str(tmp_path / "p.json"), "steps=2")

    assert (done.returncode, json.loads(done.stdout)) == (0, {"steps": 2})
    assert done.stderr.splitlines() == ["50 % Step 1 of 2", "100 % Step 2 of 2"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["demo.fail", "code=fire"], 10, "failed: This job always fails. (fire)"),
        (["demo.steps", "steps=0", "seconds_per_step=-1"], 2, "/parameters/steps"),
        (["http.request", "method=GET", "url=no-address"], 2, "/parameters/url"),
    ],
)
def test_a_failure_is_told_with_its_status(arguments, status, said):
    done = run("run", *arguments)

    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_handler_raises_is_shown_to_its_author(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_jobs.py").write_text(
        "import jobhub, msgspec\n\n\nclass P(msgspec.Struct):\n    pass\n\n\n"
        "@jobhub.job_type('broken')\ndef broken(ctx: jobhub.ProcessJobContext, params: P) -> None:\n    raise KeyError('found no key')\n"
    )

    done = run("run", "broken", JOBHUB_HANDLERS="broken_jobs")

    assert done.returncode == 10
    assert "found no key" in done.stderr
    assert "broken_jobs.py" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.such"], "There is no job type 'no.such' here"),
        (["demo.steps", "no-such-file"], "can't be read"),
        (["demo.steps", "steps=many"], "steps must be a whole number"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(arguments, said):
    assert said in refusal("run", *arguments)
