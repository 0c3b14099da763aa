"""`jobhub jobs` for everybody, as scripts use it: what is printed, and the exit status."""

import json
import subprocess
import sys

import pytest

from jobhub.client import Client
from tests.acceptance.service import free_port

NOBODYS = "01a20b0e-0000-7000-8000-000000000000"
pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def client(user):
    with Client(user.environ["JOBHUB_URL"], token=user.environ["JOBHUB_TOKEN"]) as client:
        yield client


def test_a_submit_prints_the_id_alone(user, client):
    done = user("jobs", "submit", "demo.steps", "steps=3", "seconds_per_step=0.5", "--title", "Three", "--tag", "a", "--at", "+1h")

    job = client.get(done.stdout.strip())
    assert done.stdout == f"{job.id}\n"
    assert job.parameters == {"steps": 3, "seconds_per_step": 0.5}
    assert (job.title, job.tags) == ("Three", ["a"])
    assert 3500 < (job.scheduled_for - job.created_at).total_seconds() < 3700


def test_parameters_of_a_file_are_overruled_by_those_of_the_command_line(user, client, tmp_path):
    (tmp_path / "p.json").write_text('{"steps": 3, "seconds_per_step": 2}')

    of_file = user("jobs", "submit", "demo.steps", "steps=4", "--parameters", str(tmp_path / "p.json"), "--at", "+1h").stdout.strip()
    of_stdin = user("jobs", "submit", "demo.steps", "--parameters", "-", "--at", "+1h", stdin='{"steps": 5}').stdout.strip()

    assert client.get(of_file).parameters == {"steps": 4, "seconds_per_step": 2}
    assert client.get(of_stdin).parameters == {"steps": 5}


def test_the_same_key_makes_one_job(user):
    first, again = (user("jobs", "submit", "demo.sleep", "--key", "k", "--title", "x", "--priority", "-5").stdout for _ in range(2))

    assert first == again
    assert "another body" in user("jobs", "submit", "demo.sleep", "--key", "k", status=5).stderr


@pytest.mark.parametrize(("job_type", "status", "state"), [("demo.sleep", 0, "completed"), ("demo.fail", 10, "failed")])
def test_a_submit_that_waits_tells_how_it_ended(user, job_type, status, state):
    shown = user("jobs", "submit", job_type, "--wait", status=status)
    as_json = json.loads(user("jobs", "submit", job_type, "--wait", "--json", status=status).stdout)

    assert f"status\t{state}" in shown.stdout.splitlines()
    assert shown.stderr == ""
    assert as_json["status"] == state


def test_a_submit_that_waits_no_longer_than_it_was_told_says_so(user):
    done = user("jobs", "submit", "demo.sleep", "--at", "+1h", "--wait", "--timeout", "1", status=7)

    assert "is still pending after 1 s" in done.stderr
    assert done.stdout == ""


def test_a_cancelled_job_has_a_status_of_its_own(user):
    job_id = user("jobs", "submit", "demo.sleep", "seconds=60", "--at", "+1h").stdout.strip()

    cancelled = user("jobs", "cancel", job_id, "--reason", "no more", "--json")
    watched = user("jobs", "watch", job_id, status=11)

    assert json.loads(cancelled.stdout)["intervention_reason"] == "no more"
    assert "\tcancelled\t" in watched.stdout


def test_a_watch_that_is_piped_prints_a_line_for_each_state(user):
    job_id = user("jobs", "submit", "demo.steps", "steps=3", "seconds_per_step=0.4").stdout.strip()

    as_text = user("jobs", "watch", job_id).stdout.splitlines()
    as_json = [json.loads(line) for line in user("jobs", "watch", job_id, "--json").stdout.splitlines()]

    assert {line.split("\t")[0] for line in as_text} == {job_id}
    assert as_text[-1].split("\t")[2:4] == ["completed", "100"]
    assert [state["status"] for state in as_json] == ["completed"]


def test_several_jobs_are_watched_to_the_end_of_the_last_and_the_worst_decides(user):
    ids = [user("jobs", "submit", job_type).stdout.strip() for job_type in ("demo.sleep", "demo.fail")]

    lines = user("jobs", "watch", *ids, status=10).stdout.splitlines()

    ends = {line.split("\t")[0]: line.split("\t")[2] for line in lines}
    assert ends == {ids[0]: "completed", ids[1]: "failed"}


def test_a_list_is_lines_of_fields_newest_first(user):
    ids = [user("jobs", "submit", "demo.sleep", "--at", "+1h", "--title", f"Job {number}").stdout.strip() for number in (1, 2)]
    user("jobs", "cancel", ids[0])

    lines = [line.split("\t") for line in user("jobs", "list").stdout.splitlines()]
    pending = user("jobs", "list", "--status", "pending", "--status", "running", "--type", "demo.sleep", "--json").stdout.splitlines()
    limited = user("jobs", "list", "--limit", "1").stdout.splitlines()

    assert [(line[0], line[2], line[5]) for line in lines] == [(ids[1], "pending", "Job 2"), (ids[0], "cancelled", "Job 1")]
    assert [json.loads(line)["id"] for line in pending] == [ids[1]]
    assert len(limited) == 1


@pytest.mark.parametrize("command", [("get",), ("get", "--json")])
def test_words_that_the_locale_does_not_know_are_shown_all_the_same(user, command):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h", "--title", "日本 →").stdout.strip()

    shown = user("jobs", *command, job_id, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0").stdout

    assert ('"title":"日本 →"' if "--json" in command else "title\t\\u65e5\\u672c \\u2192\n") in shown


def test_whoever_stops_reading_is_told_nothing(user):
    for _ in range(3):
        user("jobs", "submit", "demo.sleep", "--at", "+1h")
    process = subprocess.Popen(
        [sys.executable, "-m", "jobhub", "jobs", "list", "--json"],
        env=user.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()

    said = process.stderr.read()

    assert process.wait(30) == 1
    assert said == ""
    process.stderr.close()


def test_a_list_is_of_a_span_of_time(user):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h").stdout.strip()

    assert user("jobs", "list", "--after", "-1h").stdout.startswith(job_id)
    assert user("jobs", "list", "--before", "-1h").stdout == ""
    assert "is no time" in user("jobs", "list", "--after", "lately", status=2).stderr


def test_one_is_told_who_one_is_and_how_much_of_the_limits_is_used(user, account):
    user("jobs", "submit", "demo.sleep", "--at", "+1h")

    shown = user("jobs", "me").stdout.splitlines()

    assert shown[0] == f"email\t{account[0]}"
    assert "pending jobs\t1\t10000" in shown
    assert "submits per minute\t1\tno limit" in shown
    assert json.loads(user("jobs", "me", "--json").stdout)["usage"]["pending_jobs"] == 1


def test_a_failed_job_is_retried_and_its_attempts_are_listed(user):
    job_id = json.loads(user("jobs", "submit", "demo.fail", "code=fire", "--wait", "--json", status=10).stdout)["id"]

    user("jobs", "retry", job_id)
    user("jobs", "watch", job_id, status=10)
    lines = [line.split("\t") for line in user("jobs", "attempts", job_id).stdout.splitlines()]
    as_json = [json.loads(line) for line in user("jobs", "attempts", job_id, "--json").stdout.splitlines()]

    assert [(line[0], line[1], line[5]) for line in lines] == [("1", "failed", "fire"), ("2", "failed", "fire")]
    assert [attempt["number"] for attempt in as_json] == [1, 2]


def test_a_job_is_shown_with_all_that_says_something(user):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h", "--description", "for later").stdout.strip()

    fields = dict(line.split("\t") for line in user("jobs", "get", job_id).stdout.splitlines())

    assert fields["id"] == job_id
    assert (fields["description"], fields["waits for"]) == ("for later", "scheduled")
    assert "result" not in fields
    assert json.loads(user("jobs", "get", job_id, "--json").stdout)["queue"]["reason"] == "scheduled"


def test_job_types_and_their_parameters_are_told(user):
    listed = dict(line.split("\t") for line in user("jobs", "types").stdout.splitlines())
    one = user("jobs", "types", "demo.steps").stdout
    as_json = [json.loads(line)["name"] for line in user("jobs", "types", "--json").stdout.splitlines()]

    assert listed["demo.sleep"] == "Sleep for some seconds."
    assert '"maximum":1000' in one
    assert "default 10" in one
    assert as_json == sorted(as_json)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["get", NOBODYS], 4, "jobhub: No job"),
        (["get", "42"], 2, "not a valid UUID"),
        (["submit", "demo.step", "steps=3"], 2, "Did you mean demo.steps"),
        (["submit", "demo.step"], 2, "there is no job type 'demo.step'"),
        (["submit", "demo.steps", "steps=many"], 2, "steps must be a whole number, not 'many'"),
        (["submit", "demo.steps", "step=3"], 2, "it has seconds_per_step, steps"),
        (["submit", "demo.steps", "steps"], 2, "must be name=value"),
        (["submit", "demo.steps", "--at", "soon"], 2, "'soon' is no time"),
        (["submit", "demo.steps", "--parameters", "-"], 2, "must hold a JSON object"),
        (["stats"], 3, "Only an administrator may do this."),
        (["watch", *(f"{NOBODYS[:-1]}{number}" for number in range(9))], 2, "At most 8 jobs"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_said_in_a_sentence_on_standard_error(user, arguments, status, said):
    done = user("jobs", *arguments, status=status)

    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""


def test_every_field_that_is_wrong_is_named(user):
    said = user("jobs", "submit", "demo.steps", "steps=0", "--title", " ", "--tag", "", status=2).stderr

    assert [line.split(":")[1].strip() for line in said.splitlines()] == ["/tags/0", "/title", "/parameters/steps"]


def test_a_job_that_may_not_be_retried_is_a_conflict(user):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h").stdout.strip()

    assert "is pending" in user("jobs", "retry", job_id, status=5).stderr


def test_nobody_is_told_how_to_be_let_in(nobody, jobhub_up):
    assert "jobhub login" in nobody("jobs", "list", status=1).stderr
    assert "not valid here" in nobody("jobs", "list", status=3, JOBHUB_URL=jobhub_up.url, JOBHUB_TOKEN="x.y.z").stderr


def test_a_service_that_is_not_there_is_said_to_be_so(nobody):
    said = nobody("jobs", "list", status=6, JOBHUB_URL=f"http://127.0.0.1:{free_port()}", JOBHUB_TOKEN="x")

    assert "refused" in said.stderr


def test_an_address_that_is_none_is_wrong_usage(nobody):
    assert "is not the address" in nobody("jobs", "list", status=1, JOBHUB_URL="nowhere", JOBHUB_TOKEN="x").stderr
