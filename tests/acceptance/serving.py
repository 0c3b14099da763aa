"""A `jobhub serve` of its own, spoken to in bytes, and what it wrote to its log."""

import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.acceptance.service import clean_environ, free_port, wait_for
from tests.factories import KEY

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Served:
    """One running API process."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=20)

    def answer(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """All that comes back until the server closes the connection, which it has to do within 20 s."""
        with self.connect() as connection:
            with suppress(ConnectionError):  # it closed while we were still sending
                for piece in pieces:
                    connection.sendall(piece)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            return read_to_the_end(connection)

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", trust_env=False).text


def read_to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionError):  # closed before it had read everything
        while more := connection.recv(65536):
            received += more
    return received


def statuses(answer: bytes) -> list[int]:
    """Of the responses, in order. No body of ours looks like a status line."""
    return [int(status) for status in _STATUS.findall(answer)]


@contextmanager
def serving(dsn: str, **environ: str) -> Iterator[Served]:
    """Start it, and end it with SIGTERM."""
    port = free_port()
    environ = clean_environ() | environ | {"JOBHUB_DATABASE_URL": dsn, "JOBHUB_SECRET_KEY": KEY.decode(), "JOBHUB_PORT": str(port)}
    with tempfile.NamedTemporaryFile(prefix="jobhub-serve-") as log:
        process = subprocess.Popen([sys.executable, "-m", "jobhub", "serve"], env=environ, stdout=log, stderr=log)
        served = Served(port, Path(log.name))
        try:
            wait_for(lambda: _takes_connections(served) or process.poll() is not None, seconds=60)
            assert process.poll() is None, served.log
            yield served
        finally:
            process.terminate()
            process.wait(timeout=30)


def _takes_connections(served: Served) -> bool:
    try:
        served.connect().close()
    except OSError:
        return False
    return True
