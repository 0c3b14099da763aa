"""The house as it stands in production: a durable server, two APIs and three workers, each behind a proxy of its own.

Everything is a real process, reached as users and operators reach it. Not here: what is done to it (`nemesis`).
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import Any

import httpx
import psycopg

from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import EmbeddedServer, start_server
from jobhub.postgres.migrations import migrate
from jobhub.postgres.postmaster import read_postmaster
from jobhub.postgres.process import die_with_parent
from tests import factories
from tests.acceptance.service import clean_environ, free_port, wait_for
from tests.faults.ledger import VARIABLE, gate
from tests.faults.proxy import Proxies, Proxy, proxies

REPOSITORY = Path(__file__).parents[2]
DATABASE = "jobhub"
# An ordinary role: limits on connections and the like mean nothing to a superuser.
ROLE = "jobhub_app"
GRACE_SECONDS = 2
RECOVERY_SECONDS = 30.0


class Postgres:
    """The embedded server, and what befalls it. Main thread only."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    @property
    def dsn(self) -> str:
        """For the superuser, past all proxies."""
        return self._server.dsn

    @property
    def data_directory(self) -> Path:
        return self._server.directory / "pgdata"

    @property
    def log(self) -> str:
        return (self._server.directory / "postgres.log").read_text(errors="replace")

    def socket_path(self) -> str:
        found = read_postmaster(self.data_directory)
        if found is None:
            raise ConnectionRefusedError  # what a client of a stopped server is told
        return f"{found.socket_dir}/.s.PGSQL.{found.port}"

    def signal(self, number: Signals) -> None:
        """SIGINT: fast shutdown, SIGQUIT: immediate, SIGKILL: as if the machine had lost power, but for the page cache."""
        found = read_postmaster(self.data_directory)
        assert found is not None
        os.kill(found.pid, number)

    def is_alive(self) -> bool:
        """Whether its process is there, able to serve or not."""
        return self._server.is_alive()

    def stop(self, number: Signals) -> None:
        """Signal it and wait until its process is gone."""
        self.signal(number)
        wait_for(lambda: not self._server.is_alive(), seconds=60)

    def kill_backend(self, pid: int) -> None:
        """SIGKILL to one of its processes."""
        with suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)

    def start(self) -> None:
        """Start it again if it is not there; returns once it takes connections."""
        self._server.ensure_running()

    def connect(self) -> psycopg.Connection[Any]:
        """As the superuser, who may write even where a test has made the database read-only."""
        writes = "-c default_transaction_read_only=off"
        return psycopg.connect(self.dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row, options=writes)

    def execute(self, statement: str, values: list[object] | dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """One statement on a connection of its own; again, if the server is just recovering from what was done to it."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                return self._execute(statement, values)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _execute(self, statement: str, values: list[object] | dict[str, object] | None) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


class Process:
    """One `jobhub serve` or `jobhub worker`, and its proxy."""

    def __init__(self, name: str, arguments: list[str], proxy: Proxy, *, environ: dict[str, str], log: Path) -> None:
        self.name = name
        self.proxy = proxy
        self._arguments = arguments
        self._environ = environ
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it unless it runs."""
        if self.is_alive():
            return
        dsn = f"postgresql://{ROLE}@127.0.0.1:{self.proxy.port}/{DATABASE}?sslmode=disable"
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobhub", *self._arguments],
                env=self._environ | {"JOBHUB_DATABASE_URL": dsn},
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid(), SIGTERM),  # a test run that is killed leaves nothing behind
            )

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def limit_memory(self, size: int) -> None:
        """It may not have more address space than that, from now on."""
        resource.prlimit(self.pid, resource.RLIMIT_AS, (size, size))

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(10)

    def wait(self, seconds: float) -> int:
        """Its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)


class Api(Process):
    """An API process and where it listens."""

    def __init__(self, name: str, proxy: Proxy, *, environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__(name, ["serve", "--port", str(self.port)], proxy, environ=environ, log=log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class Topology:
    """Everything of it. Workers and APIs can be added; `heal` brings all back to where a test may begin."""

    def __init__(self, directory: Path, postgres: Postgres, net: Proxies) -> None:
        self.directory = directory
        self.postgres = postgres
        self.ledger = directory / "ledger"
        self.apis: list[Api] = []
        self.workers: list[Process] = []
        self._net = net
        self._environ = clean_environ() | {
            "JOBHUB_SECRET_KEY": factories.KEY.decode(),
            "JOBHUB_HANDLERS": "tests.faults.handlers",
            "JOBHUB_SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
            # Here everybody works as hard as they can.
            "JOBHUB_MAX_SUBMITS_PER_MINUTE": "0",
            "JOBHUB_MAX_PENDING_JOBS": "0",
            VARIABLE: str(self.ledger),
        }

    @property
    def processes(self) -> list[Process]:
        return [*self.apis, *self.workers]

    def add_api(self) -> Api:
        name = f"api{len(self.apis) + 1}"
        api = Api(name, self._net.open(self.postgres.socket_path), environ=self._environ, log=self.directory / f"{name}.log")
        self.apis.append(api)
        api.start()
        return api

    def add_worker(self, *arguments: str, **environ: str) -> Process:
        name = f"worker{len(self.workers) + 1}"
        worker = Process(
            name,
            ["worker", *arguments],
            self._net.open(self.postgres.socket_path),
            environ=self._environ | environ,
            log=self.directory / f"{name}.log",
        )
        self.workers.append(worker)
        worker.start()
        return worker

    def remove_worker(self, worker: Process) -> None:
        """End a worker that a test has added."""
        self.workers.remove(worker)
        worker.kill()

    def worker_of(self, job_id: object) -> Process:
        """The worker that runs a job."""
        rows = self.postgres.execute("SELECT pid FROM jobs INNER JOIN workers ON worker_id = workers.id WHERE jobs.id = %s", [job_id])
        return next(worker for worker in self.workers if (worker.pid,) == tuple(rows[0]))

    def heal(self) -> None:
        """Undo everything: the server runs, the network passes, every process lives and is ready, and held jobs are held again."""
        gate(self.ledger).unlink(missing_ok=True)
        self.postgres.start()
        self.postgres.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        self.postgres.execute(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")
        for process in self.processes:
            process.proxy.repoint(self.postgres.socket_path)
            process.proxy.pass_on()
            if process.is_alive():
                process.signal(SIGCONT)
            else:
                process.start()
        wait_for(self._is_ready, seconds=60)

    def _is_ready(self) -> bool:
        return all(api.is_ready() for api in self.apis) and self._live_pids() >= {worker.pid for worker in self.workers}

    def _live_pids(self) -> set[int]:
        return {int(str(row[0])) for row in self.postgres.execute("SELECT pid FROM workers WHERE lease_until > now() AND NOT stopping")}

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    def print_logs(self, characters: int = 3000) -> None:
        """The end of every log, for whoever has to find out what happened."""
        for process in self.processes:
            print(f"--- {process.name}\n{process.log[-characters:]}")
        print(f"--- postgres\n{self.postgres.log[-characters:]}")


@contextmanager
def postgres_server(directory: Path) -> Iterator[Postgres]:
    """A durable server with a migrated database that belongs to an ordinary role."""
    environ = {**os.environ, "TMPDIR": "/tmp"}
    server = start_server(directory, find_binaries(environ), environ=environ, database=DATABASE)
    try:
        postgres = Postgres(server)
        postgres.execute(f"CREATE ROLE {ROLE} LOGIN")
        postgres.execute(f"ALTER DATABASE {DATABASE} OWNER TO {ROLE}")
        migrate(server.dsn.replace("postgres@", f"{ROLE}@", 1))
        yield postgres
    finally:
        server.ensure_running()  # a test may have left it dead, and only what runs can be stopped in good order
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


@contextmanager
def topology(*, apis: int = 2, workers: int = 3, postgres_directory: Path | None = None) -> Iterator[Topology]:
    """The house, ready to be used, for the time of the block. Its data may lie on another disk."""
    directory = Path(tempfile.mkdtemp(prefix="jobhub-faults-"))
    directory.chmod(0o755)  # as root the server runs as somebody else, who must be able to come here
    try:
        with postgres_server(postgres_directory or directory / "postgres") as postgres, proxies() as net:
            house = Topology(directory, postgres, net)
            try:
                for _ in range(apis):
                    house.add_api()
                for _ in range(workers):
                    house.add_worker()
                house.heal()
                yield house
            finally:
                house.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
