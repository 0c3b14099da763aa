"""`watch` at a terminal: bars that move, Ctrl-C that asks, and texts that can't steer the terminal."""

import re

import pytest

from jobhub.client import Client
from jobhub.domain.jobs import JobStatus
from tests.cli.jobs.terminal import terminal

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def client(user):
    with Client(user.environ["JOBHUB_URL"], token=user.environ["JOBHUB_TOKEN"]) as client:
        yield client


def test_a_job_is_shown_moving_until_it_is_finished(user, client):
    job = client.submit("demo.steps", {"steps": 4, "seconds_per_step": 0.5}, title="Watch me")

    with terminal("jobs", "watch", str(job.id), environ=user.environ) as screen:
        status = screen.end()

    assert status == 0
    assert re.search("running.* of 4", screen.shown)
    assert "━" in screen.shown
    assert "\x1b[" in screen.raw  # at a terminal there are colours
    assert "Watch me" in screen.shown
    assert "completed" in screen.shown


def test_a_narrow_terminal_shows_how_it_goes_rather_than_the_id(user, client):
    job = client.submit("demo.steps", {"steps": 4, "seconds_per_step": 0.5}, title="Watch me")

    with terminal("jobs", "watch", str(job.id), environ=user.environ, columns=40) as screen:
        screen.end()
    with terminal("jobs", "list", environ=user.environ, columns=40) as listed:
        listed.end()

    assert str(job.id)[:8] not in screen.shown
    assert "Watch me" in screen.shown
    assert "━" in screen.shown
    assert re.search("running .*%", screen.shown)
    assert str(job.id) in listed.shown
    assert "Watch me" in listed.shown


def test_ctrl_c_asks_whether_to_cancel_and_yes_cancels(user, client):
    job = client.submit("demo.steps", {"steps": 100, "seconds_per_step": 0.3}, title="Endless")

    with terminal("jobs", "watch", str(job.id), environ=user.environ) as screen:
        screen.wait_for(" of 100")
        screen.press("\x03")
        screen.wait_for("Cancel job 'Endless'?")
        screen.press("y\n")
        status = screen.end()

    assert status == 11
    assert client.get(job).status is JobStatus.CANCELLED
    assert client.get(job).intervention_reason == "Ctrl-C at a terminal"


def test_ctrl_c_and_no_leaves_the_job_alone(user, client):
    job = client.submit("demo.sleep", {"seconds": 60})

    with terminal("jobs", "watch", str(job.id), environ=user.environ) as screen:
        screen.wait_for("running")
        screen.press("\x03")
        screen.wait_for("Cancel job")
        screen.press("n\n")
        status = screen.end()

    assert status == 130
    assert client.get(job).status is JobStatus.RUNNING
    client.cancel(job)


def test_a_second_ctrl_c_is_a_no(user, client):
    job = client.submit("demo.sleep", {"seconds": 60})

    with terminal("jobs", "submit", "demo.sleep", "seconds=60", "--wait", environ=user.environ) as screen:
        screen.wait_for("running")
        screen.press("\x03")
        screen.wait_for("Cancel job")
        status = screen.interrupt()

    assert status == 130
    for open_job in client.list_jobs(status="running"):
        client.cancel(open_job)
    assert client.get(job).cancel_requested_at


def test_without_ids_all_that_goes_on_is_shown(user, client):
    old = client.wait(client.submit("demo.sleep", {"seconds": 0}, title="Long over"))
    first = client.submit("demo.sleep", {"seconds": 60}, title="The first")

    with terminal("jobs", "watch", environ=user.environ) as screen:
        screen.wait_for("The first")
        second = client.submit("demo.fail", {"message": "Out of \x1b[31m paper"}, title="The [red]second[/red]")
        screen.wait_for("Out of")
        screen.press("\x03")
        status = screen.end()

    assert status == 130
    assert old.title not in screen.shown
    assert "The [red]second[/red]" in screen.shown
    assert "Out of \N{REPLACEMENT CHARACTER}[31m paper" in screen.raw
    client.cancel(first)
    assert client.get(second).status is JobStatus.FAILED
