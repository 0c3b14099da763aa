"""`jobhub serve` as the scripts start it: one process, no limits unless they are asked for; accounts, and requests to it. Not here: what is asked of it."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from bench.peers import jobhub_peer
from bench.processes import Unmeasured
from jobhub.services.tokens import Keys, sign

START_SECONDS = 60.0
EMAIL = "bench@example.org"
_SECRET_KEY = secrets.token_urlsafe(32)


def prepare(dsn: str) -> None:
    """A schema with the account, for `Server.template`."""
    jobhub_peer.prepare(dsn)
    _jobhub(dsn, "users", "add", EMAIL, "--password-stdin", given=secrets.token_urlsafe(16))


def token(dsn: str, email: str = EMAIL) -> str:
    """An access token of an account."""
    return _jobhub(dsn, "token", email)


def tokens(connection: psycopg.Connection, emails: Sequence[str]) -> list[str]:
    """Access tokens of many accounts, in their order."""
    user_ids = dict(connection.execute("SELECT email, id FROM users WHERE email = ANY(%s)", [list(emails)]).fetchall())
    return [sign(Keys(_SECRET_KEY.encode()), user_ids[email], now=time.time()) for email in emails]


def sign_in(connection: psycopg.Connection, email: str) -> str:
    """The cookie of a browser in which this account has signed in."""
    session_id = secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO sessions (id_sha256, user_id, expires_at) SELECT %s, id, now() + interval '1 day' FROM users WHERE email = %s",
        [hashlib.sha256(session_id.encode()).digest(), email],
    )
    return f"jobhub={session_id}"


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """As it goes over the wire."""
    if body:
        headers = {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(port: int, connections: int, seconds: float, *requests: bytes, pause: float = 0) -> dict[str, Any]:
    """What bench/load.py says of sending them for a time, each connection pausing so many seconds after an answer."""
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(seconds), str(pause)]
    done = subprocess.run(command, input=b"\0".join(requests), check=True, stdout=subprocess.PIPE, timeout=seconds + START_SECONDS)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def running_api(dsn: str, *, limit: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port, once it listens. A user may have `limit` jobs pending and submit as many a minute; 0 is no limit."""
    with listening(["-m", "jobhub", "serve", "--port", "{port}"], environ(dsn, limit=limit)) as running:
        yield running


@contextmanager
def listening(command: list[str], environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A Python process whose command line has `{port}` in it, and its port; ended after the block."""
    port = _free_port()
    arguments = [part.format(port=port) for part in command]
    process = subprocess.Popen([sys.executable, *arguments], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise Unmeasured(f"{' '.join(arguments)} did not start")
            time.sleep(0.05)
        yield process, port
    finally:
        process.terminate()
        process.wait(timeout=60)


def environ(dsn: str, *, limit: int = 0) -> dict[str, str]:
    """The environment of a command of jobhub."""
    limits = {"JOBHUB_MAX_SUBMITS_PER_MINUTE": str(limit), "JOBHUB_MAX_PENDING_JOBS": str(limit)}
    return os.environ | jobhub_peer.environ(dsn) | limits | {"JOBHUB_SECRET_KEY": _SECRET_KEY}


def _jobhub(dsn: str, *arguments: str, given: str = "") -> str:
    command = [sys.executable, "-m", "jobhub", *arguments]
    return subprocess.run(command, env=environ(dsn), check=True, text=True, stdout=subprocess.PIPE, input=given).stdout.strip()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
