"""Starts, adopts and stops one PostgreSQL server on one data directory.

The server ends with the process that started it, even when that is killed; whoever finds it running uses it and leaves it running.
Not here: the data directory (`postgres.cluster`), root's special case (`postgres.account`), migrations.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from jobhub.domain.errors import OperatorError
from jobhub.postgres.account import reachable_binaries, server_account, server_directory
from jobhub.postgres.binaries import Binaries
from jobhub.postgres.cluster import (
    POLL_SECONDS,
    PORT,
    SOCKET_NAME,
    Cluster,
    locked,
    make_socket_directory,
    prepare,
    remove_socket_directory,
)
from jobhub.postgres.postmaster import Postmaster, find_running, read_postmaster, remove_leftovers, runs_on
from jobhub.postgres.process import spawn

START_SECONDS = 300.0  # the recovery after a crash may read gigabytes of WAL
FAST_STOP_SECONDS = 60.0  # the final checkpoint of a fast shutdown, on a slow disk
QUIT_SECONDS = 30.0  # an immediate shutdown kills what is left after 5 s by itself
CONNECT_SECONDS = 10
REFUSED_SECONDS = 30.0  # longer than the restart that PostgreSQL does by itself when one of its backends crashed
RETRY_SECONDS = 0.1
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 65_536

SETTINGS = {"listen_addresses": "", "port": str(PORT), "timezone": "UTC", "log_timezone": "UTC", "lc_messages": "C"}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
BACKENDS_ALIVE = "is still in use"  # the end of PostgreSQL's "pre-existing shared memory block … is still in use"


def start_server(
    data_dir: Path, binaries: Binaries, *, environ: Mapping[str, str], database: str = "jobhub", durable: bool = True
) -> "EmbeddedServer":
    """Make sure that a server runs on `data_dir` and has the database; the first call creates both. Call it from the main thread.

    As root the server runs as another account and the data may have to go elsewhere: `directory` of the answer says where.
    `durable=False` is for tests: a crash of the machine may destroy the data. Raises OperatorError: it can't be started.
    """
    with _explained(data_dir):
        account = server_account(environ)
        directory = server_directory(data_dir, account)
        usable = reachable_binaries(binaries, account)
    server = EmbeddedServer(Cluster(directory=directory, binaries=usable, account=account, environ=environ, durable=durable), database)
    server.ensure_running()
    return server


class EmbeddedServer:
    """One PostgreSQL server on one data directory: ours, or one that somebody else started. Made by `start_server`."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self._cluster = cluster
        self._database = database
        self._postmaster: Postmaster | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """For asyncpg, psycopg and SQLAlchemy. It names the port so that a PGPORT in the environment can't change it."""
        assert self._postmaster is not None, "the server was never started"
        return _dsn(self._postmaster, self._database)

    @property
    def owned(self) -> bool:
        """Whether `stop` ends it. False: it is somebody else's. Changes when `ensure_running` had to start or adopt one."""
        return self._process is not None

    @property
    def directory(self) -> Path:
        """Where pgdata, run and postgres.log really are."""
        return self._cluster.directory

    def is_alive(self) -> bool:
        """Whether the process of the server is there. It may be recovering or stopping all the same."""
        if self._process is not None:
            return self._process.poll() is None
        return self._postmaster is not None and runs_on(self._postmaster.pid, self._cluster.pgdata)

    def ensure_running(self) -> None:
        """Start the server again on the same data if it died, or adopt one that somebody else started meanwhile.

        Blocks until it takes connections, at most START_SECONDS. Main thread only. Raises OperatorError.
        """
        if self.is_alive():
            return
        deadline = time.monotonic() + START_SECONDS
        with _explained(self.directory), locked(self._cluster):
            prepare(self._cluster)
            try:
                while not (self._adopt_or_launch(deadline) and self._create_database()):
                    if time.monotonic() > deadline:
                        raise self._failure(f"was not ready after {START_SECONDS:.0f} s")
                    time.sleep(RETRY_SECONDS)
            except BaseException:  # Ctrl-C too: nobody but us knows the server we started
                self._end()
                raise

    def stop(self) -> None:
        """End the server if it is ours: SIGINT (fast), SIGQUIT after FAST_STOP_SECONDS, never SIGKILL. Again: nothing.

        Raises OperatorError: it is still there.
        """
        if self._process is None:
            return
        self._end()
        with suppress(OperatorError, OSError), locked(self._cluster, seconds=0):  # race: a starter that was waiting keeps the directory
            remove_socket_directory(self._cluster)

    def _adopt_or_launch(self, deadline: float) -> bool:
        """False: not yet. Somebody else's server is starting or stopping, or processes of a crashed one are still about."""
        found = find_running(self._cluster.pgdata)
        if found is None:
            return self._launch(deadline)
        self._postmaster = found
        if self._process and self._process.pid != found.pid:
            self._process = None  # ours died, and another starter was quicker
        return found.is_ready

    def _launch(self, deadline: float) -> bool:
        socket_dir = make_socket_directory(self._cluster)
        remove_leftovers(self._cluster.pgdata, socket_dir / f"{SOCKET_NAME}.lock")
        log_start = self._start_process(socket_dir)
        while self._postmaster is None:
            assert self._process is not None
            if self._process.poll() is not None:
                self._process = None
                if BACKENDS_ALIVE in self._log_tail(log_start):
                    return False
                raise self._failure("did not start", log_start)
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {START_SECONDS:.0f} s", log_start)
            time.sleep(POLL_SECONDS)
            found = read_postmaster(self._cluster.pgdata)
            if found and found.pid == self._process.pid and found.is_ready:
                self._postmaster = found
        return True

    def _start_process(self, socket_dir: Path) -> int:
        """Start the server without waiting for it. Returns where its part of the log begins."""
        cluster = self._cluster
        settings = SETTINGS | {"unix_socket_directories": str(socket_dir)} | ({} if cluster.durable else NOT_DURABLE)
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(cluster.binaries.bin_dir / "postgres"), "-D", str(cluster.pgdata), *flags]
        log = os.open(cluster.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            log_start = os.lseek(log, 0, os.SEEK_END)
            self._postmaster = None
            self._process = spawn(command, account=cluster.account, environ=cluster.environ, directory=cluster.directory, output=log)
            return log_start
        finally:
            os.close(log)

    def _create_database(self) -> bool:
        """Create the database unless it exists. False: the server is going away, as an adopted one may at any time."""
        assert self._postmaster is not None
        give_up_at = time.monotonic() + REFUSED_SECONDS
        while True:
            try:
                _create_database(_dsn(self._postmaster, "postgres"), self._database)
                return True
            except psycopg.OperationalError as error:
                found = find_running(self._cluster.pgdata)
                if found is None or not found.is_ready:
                    return False
                if time.monotonic() > give_up_at:
                    raise self._failure(f"refuses our connection ({str(error).strip()})") from error
            time.sleep(RETRY_SECONDS)

    def _end(self) -> None:
        if self._process is None:
            return
        if not (_ended(self._process, signal.SIGINT, FAST_STOP_SECONDS) or _ended(self._process, signal.SIGQUIT, QUIT_SECONDS)):
            raise self._failure(f"(process {self._process.pid}) does not end, not even after SIGQUIT")
        self._process = None

    def _failure(self, what: str, log_start: int = 0) -> OperatorError:
        log = self._cluster.log
        return OperatorError(f"PostgreSQL in {self.directory} {what}: put right what the end of {log} says.\n{self._log_tail(log_start)}")

    def _log_tail(self, start: int = 0) -> str:
        try:
            with self._cluster.log.open("rb") as log:
                log.seek(max(start, self._cluster.log.stat().st_size - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-LOG_TAIL_LINES:])


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperatorError(f"The data directory {directory} can't be used ({error}): put that right, or use another one.") from error


def _ended(process: subprocess.Popen[bytes], signal_number: signal.Signals, seconds: float) -> bool:
    process.send_signal(signal_number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _create_database(dsn: str, database: str) -> None:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _dsn(postmaster: Postmaster, database: str) -> str:
    socket_dir = quote(postmaster.socket_dir, safe="/")
    return f"postgresql://postgres@/{quote(database, safe='')}?host={socket_dir}&port={postmaster.port}"
