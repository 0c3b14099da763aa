"""The durable PostgreSQL server everything is measured on, and databases on it. Not here: what is in them (`bench.peers`)."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.embedded import start_server


class Server:
    """One running server. Databases are copies of templates, so that each run starts from the same bytes."""

    def __init__(self, dsn: str, pid: int) -> None:
        self.dsn = dsn
        self.pid = pid
        self._templates: set[str] = set()

    def template(self, name: str, build: Callable[[str], None], *, source: str = "template1") -> str:
        """The name of a database that `build` filled, vacuumed and analysed; the same name is built once."""
        if name not in self._templates:
            self._drop(name)
            self._create(name, source)
            self._templates.add(name)
            build(self._dsn_of(name))
            with psycopg.connect(self._dsn_of(name), autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
        return name

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """The address of a copy of a template, gone after the block."""
        self._create("bench", template)
        try:
            yield self._dsn_of("bench")
        finally:
            self._drop("bench")

    @contextmanager
    def kept(self, name: str, template: str, build: Callable[[str], None]) -> Iterator[str]:
        """The address of a database that stays: made of a template and filled by `build` unless it is there."""
        if not self._exists(name):
            self._drop(f"{name} unfinished")
            self._create(f"{name} unfinished", template)
            build(self._dsn_of(f"{name} unfinished"))
            self._execute(f'ALTER DATABASE "{name} unfinished" RENAME TO "{name}"')
        yield self._dsn_of(name)

    def drop_kept(self, name: str) -> None:
        """It has been used up."""
        self._drop(name)

    def drop_template(self, name: str) -> None:
        """Free its disk space."""
        if name in self._templates:
            self._drop(name)
            self._templates.remove(name)

    def _create(self, name: str, source: str) -> None:
        # file_copy makes a checkpoint before and after, so that no run pays for the writes of another one.
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy')

    def _drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _exists(self, name: str) -> bool:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql)

    def _dsn_of(self, name: str) -> str:
        return self.dsn.replace("/postgres?", f"/{quote(name)}?")


@contextmanager
def running_server(data_dir: Path | None = None) -> Iterator[Server]:
    """A server as durable as `jobhub up` runs it, with the same settings: with nothing on it, or with what was kept in `data_dir`."""
    directory = data_dir or Path(tempfile.mkdtemp(prefix="jobhub-bench-"))
    directory.mkdir(exist_ok=True, parents=True)
    directory.chmod(0o755)  # as root the server runs as somebody else, who must be able to come here
    started = start_server(directory, find_binaries(os.environ), environ=os.environ, database="postgres")
    try:
        pid = int((started.directory / "pgdata" / "postmaster.pid").read_text().split()[0])
        yield Server(started.dsn, pid)
    finally:
        started.stop()
        if not data_dir:
            shutil.rmtree(started.directory, ignore_errors=True)
            shutil.rmtree(directory, ignore_errors=True)
