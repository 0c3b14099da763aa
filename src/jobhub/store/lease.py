"""The worker's lease on a connection of its own, without an event loop: it must be renewed while that is blocked.

Not here: when it is renewed and what happens if it can't be (`worker.lease`).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import msgspec
import psycopg

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store.dispatch import WorkerRow
from jobhub.store.statements import bind

# The server's own statement_timeout doesn't help if it is the server, or something on the way to it, that stands still.
ANSWER_TIMEOUT_SECONDS = 6.0


class LeaseConnection:
    """One blocking connection, made anew whenever it breaks. For one thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection | None = None

    def renew(self, worker: WorkerRow) -> None:
        """Register the worker or renew its lease. Raises DatabaseUnavailable within some 10 s."""
        statement, values = bind("renew_lease", msgspec.structs.asdict(worker))
        try:
            if self._connection is None:
                self._connection = self._connect()
            with _cut_off_if_silent(self._connection):
                psycopg.RawCursor(self._connection).execute(statement.sql.encode(), values)
        except psycopg.Error as error:
            self.close()
            raise DatabaseUnavailable from error

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=3,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            tcp_user_timeout=5000,
            application_name="jobhub lease",
            options="-c statement_timeout=5000",
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def _cut_off_if_silent(connection: psycopg.Connection) -> Iterator[None]:
    """End the connection under whoever waits on it in the block for too long; psycopg has no time limit of its own."""
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as same:
        timer = threading.Timer(ANSWER_TIMEOUT_SECONDS, _cut_off, [same])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
