"""What API and worker write at their most talkative, and what errors say: no secret, no inside, no line of somebody else's."""

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import argon2
import httpx

from tests.acceptance.service import clean_environ, wait_for
from tests.acceptance.serving import serving
from tests.factories import make_user, token

ENVIRON = {"JOBHUB_LOG_LEVEL": "debug", "JOBHUB_HANDLERS": "tests.acceptance.secretive"}
DSN_PASSWORD, PASSWORD, WRONG = "canary-dsn-password", "canary-right-password", "canary-wrong-password"
PARAMETER, TITLE, BAD_TOKEN = "canary-parameter", "canary-title", "canary-token"
INSIDE = ("Traceback", "asyncpg", "/site-packages/", "SELECT", "psycopg", ".py")


@contextmanager
def working(dsn):
    """A worker for the block; yields the file of what it writes."""
    environ = clean_environ() | ENVIRON | {"JOBHUB_DATABASE_URL": dsn}
    with tempfile.NamedTemporaryFile(prefix="jobhub-worker-") as log:
        process = subprocess.Popen([sys.executable, "-m", "jobhub", "worker"], env=environ, stdout=log, stderr=log)
        try:
            yield Path(log.name)
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_no_secret_reaches_a_log_and_no_inside_an_error(dsn, sql):
    make_user(sql, "carol@example.org", password_hash=argon2.PasswordHasher(parallelism=1).hash(PASSWORD))
    secret_dsn = dsn.replace("@", f":{DSN_PASSWORD}@", 1)
    with serving(secret_dsn, **ENVIRON) as served, working(secret_dsn) as worker_log:
        with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as http:
            secrets, errors = use_everything(http)
        log = served.log + worker_log.read_text()

    found = [secret for secret in (DSN_PASSWORD, PASSWORD, WRONG, PARAMETER, TITLE, BAD_TOKEN, *secrets) if secret in log]
    assert found == []
    assert "worker_started" in log  # it is what they wrote
    assert [(error.url, word) for error in errors for word in INSIDE if word in error.text] == []
    assert all(error.status_code < 500 for error in errors)


def use_everything(http):
    """What secrets were handed out, and all the errors."""
    errors = [http.post("/auth/token", json={"email": "carol@example.org", "password": WRONG})]
    pair = http.post("/auth/token", json={"email": "carol@example.org", "password": PASSWORD}).json()
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    ticket = http.post("/auth/ticket", headers=bearer).json()["ticket"]
    job = {"job_type": "secretive.fail", "title": TITLE, "parameters": {"word": PARAMETER}}
    path = "/jobs/" + http.post("/jobs", json=job, headers=bearer).json()["id"]
    wait_for(lambda: http.get(path, headers=bearer).json()["status"] == "failed", seconds=60)
    streamed = http.get(f"{path}/events?ticket={ticket}")
    assert "event: job" in streamed.text
    second = http.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]}).json()
    errors += [
        http.get(f"{path}/events?ticket={ticket}"),
        http.get(f"/jobs?access_token={pair['access_token']}"),
        http.get("/jobs", headers={"authorization": f"Bearer {BAD_TOKEN}"}),
        http.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]}),
        http.post("/auth/refresh", json={"refresh_token": BAD_TOKEN}),
        http.post("/jobs", json=job | {"parameters": {"word": PARAMETER, "other": 1}}, headers=bearer),
        http.post("/jobs", content=b'{"title": "' + TITLE.encode(), headers=bearer | {"content-type": "application/json"}),
        http.get("/jobs/admin/all", headers=bearer),
        http.get("/jobs?cursor='; SELECT 1 --", headers=bearer),
        http.get("/nowhere"),
    ]
    return [*_tokens(pair, second), ticket], errors


def _tokens(*pairs):
    return [pair[name] for pair in pairs for name in ("access_token", "refresh_token")]


def test_line_breaks_and_escapes_make_no_log_line_and_no_header_of_their_own(dsn, alice):
    forged = '{"event": "forged"}'
    titles = [f"a\r\n{forged}", f"a\n{forged}", "a\x1b[31mred", f"a\u2028{forged}", f"a\x85{forged}"]
    with serving(dsn, **ENVIRON) as served:
        bearer = f"Authorization: Bearer {token(alice)}\r\n".encode()
        for title in titles:
            body = json.dumps({"job_type": "secretive.fail", "title": title, "parameters": {"word": "x"}}).encode()
            head = b"POST /jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n" + bearer
            answer = served.answer(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            # U+2028 is no control character, and no title is ever logged.
            assert answer.startswith(b"HTTP/1.1 201 " if "\u2028" in title else b"HTTP/1.1 400 "), answer
        for value in (b"k\nSet-Cookie: forged=1", b"k\rSet-Cookie: forged=1", b"k\x1b[31m", b"k%0d%0aSet-Cookie:%20forged=1"):
            answer = served.answer(
                b"GET /jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + bearer + b"X-Request-Id: " + value + b"\r\n\r\n"
            )
            assert b"\r\nset-cookie" not in answer.lower().partition(b"\r\n\r\n")[0]
        answer = served.answer(b"GET /a%0d%0aSet-Cookie:%20forged=1%1b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + bearer + b"\r\n")
        assert b"\r\nset-cookie" not in answer.lower()
        log = served.log

    assert "\x1b" not in log
    assert not [line for line in log.splitlines() if line.startswith(forged)]
