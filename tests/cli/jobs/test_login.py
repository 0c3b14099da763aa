"""Logins that are kept: where, how privately, and shared by commands that run at the same time."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.front import front, problem

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def file(environ) -> Path:
    return Path(environ["XDG_CONFIG_HOME"]) / "jobhub" / "profiles.json"


def test_a_login_is_kept_for_its_owner_alone_and_without_the_password(nobody, jobhub_up, account, file):
    os.umask(0o022)
    done = nobody("login", jobhub_up.url + "/", "--email", account[0].upper(), "--password-stdin", stdin=account[1] + "\n")

    assert done.stdout == f"user {account[0]} at {jobhub_up.url}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert account[1] not in file.read_text()
    assert nobody("jobs", "list").stdout == ""


def test_a_wrong_password_keeps_nothing(nobody, jobhub_up, account, file):
    said = nobody("login", jobhub_up.url, "--email", account[0], "--password-stdin", stdin="wrong\n", status=3).stderr

    assert said == "jobhub: E-mail address or password is wrong.\n"
    assert not file.exists()


def test_logins_have_names(nobody, jobhub_up, account, administrator):
    for name, (email, password) in {"default": account, "boss": administrator}.items():
        nobody("login", jobhub_up.url, "--email", email, "--password-stdin", "--profile", name, stdin=password + "\n")

    nobody("jobs", "stats", status=3)
    nobody("jobs", "--profile", "boss", "stats")
    nobody("jobs", "stats", JOBHUB_PROFILE="boss")
    assert "with the name 'nope'" in nobody("jobs", "--profile", "nope", "list", status=1).stderr


def test_a_token_of_a_login_never_goes_to_another_address(nobody, jobhub_up, account):
    nobody("login", jobhub_up.url, "--email", account[0], "--password-stdin", stdin=account[1] + "\n")
    with front(1) as elsewhere:
        said = nobody("jobs", "list", JOBHUB_URL=elsewhere.url, status=1).stderr

    assert f"is for {jobhub_up.url}" in said
    assert elsewhere.seen == []


def test_after_a_logout_the_refresh_token_is_worth_nothing(nobody, jobhub_up, account, file):
    nobody("login", jobhub_up.url, "--email", account[0], "--password-stdin", stdin=account[1] + "\n")
    kept = json.loads(file.read_text())["default"]
    nobody("logout")
    file.write_text(json.dumps({"default": kept | {"access_token": "expired"}}))

    assert "log in again" in nobody("jobs", "list", status=3).stderr
    nobody("logout")
    assert json.loads(file.read_text()) == {}
    assert "no login" in nobody("logout", status=1).stderr


def test_commands_that_run_together_renew_an_expired_token_once(nobody, proxy, account, file):
    nobody("login", proxy.url, "--email", account[0], "--password-stdin", stdin=account[1] + "\n")
    kept = json.loads(file.read_text())
    kept["default"]["access_token"] = "expired"
    file.write_text(json.dumps(kept))

    running = [
        subprocess.Popen([sys.executable, "-m", "jobhub", "jobs", "list"], env=nobody.environ, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]

    assert ended == [("", 0)] * 3
    assert proxy.count("POST", "/auth/refresh") == 1
    assert json.loads(file.read_text())["default"]["access_token"] != "expired"


def test_a_file_that_is_no_list_of_logins_is_named(nobody, file):
    file.parent.mkdir(parents=True)
    file.write_text("{")

    assert str(file) in nobody("jobs", "list", status=1).stderr


def test_a_full_disk_is_told_and_what_was_kept_stays(nobody, jobhub_up, account, file):
    login = ["login", jobhub_up.url, "--email", account[0], "--password-stdin"]
    nobody(*login, stdin=account[1])
    kept = file.read_text()

    # No byte may be written to any file.
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", sys.executable, "-m", "jobhub", *login],
        env=nobody.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        input=account[1],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"jobhub: The login can't be kept in {file} (File too large)")
    assert file.read_text() == kept


def test_a_password_that_leaves_the_machine_unencrypted_is_warned_of(nobody):
    said = nobody("login", "http://jobs.invalid", "--email", "a@b", "--password-stdin", stdin="x\n", status=6).stderr

    assert "goes over the network as it is" in said.splitlines()[0]


def test_a_login_that_is_refused_for_long_is_told_at_once(nobody, proxy):
    proxy.plan(problem(429, "too_many_attempts", Retry_After="3600"))

    said = nobody("login", proxy.url, "--email", "a@b", "--password-stdin", stdin="x\n", status=6).stderr
    assert said == "jobhub: It is too_many_attempts.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_what_it_needs_to_complete(nobody, shell):
    assert "_JOBHUB_COMPLETE" in nobody("completion", shell).stdout


def test_job_types_are_completed_from_the_service(user):
    done = user(_JOBHUB_COMPLETE="bash_complete", COMP_WORDS="jobhub jobs submit demo.st", COMP_CWORD="3")

    assert done.stdout.splitlines() == ["plain,demo.steps"]


def test_a_shell_is_told_nothing_of_errors(nobody):
    done = nobody(_JOBHUB_COMPLETE="bash_complete", COMP_WORDS="jobhub jobs submit demo.st", COMP_CWORD="3")

    assert (done.stdout.strip(), done.stderr) == ("", "")
