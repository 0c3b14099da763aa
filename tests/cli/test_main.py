"""The command line as a user meets it: what it prints, and how it refuses."""

import os
import subprocess
import sys

import pytest

from tests.factories import make_job

KEY = "k3Jx0aB7qL9tYw2Zr5Vn8Pd4Ms6Gh1Ce"


def run(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JOBHUB_", "DATABASE_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "jobhub", *arguments], env=clean | environ, input=stdin, capture_output=True, text=True, timeout=60
    )


def refusal(*arguments: str, **options: str) -> str:
    """What a refused command says; it must be one sentence on standard error and exit 1."""
    done = run(*arguments, **options)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("jobhub: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_user_is_added_and_gets_a_token(dsn, tmp_path):
    added = run(
        "users", "add", "ada@example.org", "--role", "admin", "--password-stdin", stdin="long enough for me\n", JOBHUB_DATABASE_URL=dsn
    )
    token = run("token", "ADA@example.org", JOBHUB_DATABASE_URL=dsn, JOBHUB_SECRET_KEY=KEY)

    assert added.stdout.startswith("admin ada@example.org "), added.stderr
    assert token.stdout.count(".") == 2, token.stderr


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        ("no-address", "long enough for me", "must be an e-mail address"),
        ("ada@example.org", "short", "must have 12 to 1024 bytes"),
        ("ALICE@example.org", "long enough for me", "There is a user with the e-mail address"),
    ],
)
def test_a_user_that_cannot_be_added_is_refused_in_a_sentence(dsn, alice, email, password, said):
    assert said in refusal("users", "add", email, "--password-stdin", stdin=f"{password}\n", JOBHUB_DATABASE_URL=dsn)


def test_a_token_for_nobody_is_refused(dsn):
    assert "No user 'nobody@example.org'" in refusal("token", "nobody@example.org", JOBHUB_DATABASE_URL=dsn, JOBHUB_SECRET_KEY=KEY)


def test_migrate_says_what_it_applied_and_the_second_time_nothing(empty_dsn):
    first, second = (run("migrate", JOBHUB_DATABASE_URL=empty_dsn) for _ in range(2))

    assert first.stdout.splitlines()[0] == "applied 0001_procrastinate.sql", first.stderr
    assert (second.returncode, second.stdout) == (0, "")


@pytest.mark.parametrize("variable", ["JOBHUB_DATABASE_URL", "DATABASE_URL"])
def test_either_name_of_the_database_url_is_taken(dsn, variable):
    assert run("migrate", **{variable: dsn}).returncode == 0


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "doctor"])
def test_without_a_database_the_ways_out_are_named(command, tmp_path):
    done = run(command, JOBHUB_DATA_DIR=str(tmp_path), JOBHUB_SECRET_KEY=KEY)

    assert done.returncode == 1
    assert "JOBHUB_DATABASE_URL" in done.stdout + done.stderr
    assert "jobhub up" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("short", "at least 32 bytes, it has 5"),
        ("change-me-change-me-change-me-change-me", "sample"),
        ("a" * 40, "sample"),
    ],
)
def test_serve_refuses_a_weak_secret(dsn, secret, said):
    assert said in refusal("serve", JOBHUB_DATABASE_URL=dsn, JOBHUB_SECRET_KEY=secret)


def test_serve_refuses_a_weak_previous_secret_and_half_a_provider(dsn):
    given = {"JOBHUB_DATABASE_URL": dsn, "JOBHUB_SECRET_KEY": KEY}

    assert "JOBHUB_SECRET_KEY_PREVIOUS must have at least 32 bytes" in refusal("serve", **given, JOBHUB_SECRET_KEY_PREVIOUS="short")
    assert "JOBHUB_JWKS_ISSUER, JOBHUB_JWKS_AUDIENCE, JOBHUB_JWKS_ALGORITHM must be set too" in refusal(
        "serve", **given, JOBHUB_JWKS_URL="https://idp.example.org/keys"
    )


def test_serve_refuses_to_start_without_a_secret(dsn, tmp_path):
    assert "JOBHUB_SECRET_KEY is not set" in refusal("serve", JOBHUB_DATABASE_URL=dsn, JOBHUB_DATA_DIR=str(tmp_path))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JOBHUB_PORT", "eighty"),
        ("JOBHUB_PORT", "65536"),
        ("JOBHUB_CONCURRENCY", "0"),
        ("JOBHUB_DEMO", "yes"),
        ("JOBHUB_LOG_LEVEL", "LOUD"),
        ("JOBHUB_SHUTDOWN_GRACE_SECONDS", "-1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(variable, value):
    said = refusal("migrate", **{variable: value})

    assert variable in said
    assert repr(value) in said


def test_handlers_that_cannot_be_imported_are_named(dsn):
    assert "'no.such.module'" in refusal("worker", JOBHUB_DATABASE_URL=dsn, JOBHUB_HANDLERS="no.such.module")


def test_doctor_tells_what_is_wrong_and_exits_with_1(dsn):
    done = run("doctor", JOBHUB_DATABASE_URL=dsn)

    assert done.returncode == 1
    assert "ok   schema" in done.stdout
    assert "ok   setup" in done.stdout
    assert "ok   postgresql: version" in done.stdout
    assert "ok   clock" in done.stdout
    assert "ok   worker_versions" in done.stdout
    assert "BAD  live_workers" in done.stdout
    assert "     → start one with `jobhub worker`" in done.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"JOBHUB_HEALTH_MIN_WORKERS": "0"}, "ok   live_workers: 0 workers"),
        ({"JOBHUB_HEALTH_MIN_WORKERS": "1"}, "BAD  live_workers: 0 workers"),
        ({"JOBHUB_HEALTH_MAX_DUE_SECONDS": "100"}, "ok   oldest_due_job: the longest-waiting due job has waited 9"),
        ({"JOBHUB_HEALTH_MAX_DUE_SECONDS": "80"}, "BAD  oldest_due_job: the longest-waiting due job has waited 9"),
    ],
)
def test_what_doctor_calls_healthy_is_a_setting(dsn, sql, alice, setting, said):
    make_job(sql, alice)
    sql.execute("UPDATE jobs SET due_at = now() - interval '90 s'")

    assert said in run("doctor", JOBHUB_DATABASE_URL=dsn, **setting).stdout


def test_doctor_tells_to_migrate(empty_dsn):
    done = run("doctor", JOBHUB_DATABASE_URL=empty_dsn)

    assert done.returncode == 1
    assert "BAD  schema: at none" in done.stdout
    assert "→ run `jobhub migrate`" in done.stdout
