"""Bring a database to the newest schema: the numbered files of sql/migrations/, applied by Alembic through psycopg.

Each file is one revision and one transaction; the table `alembic_version` says which was last. Two processes may migrate at
once: the second one waits for the first, then finds nothing to do. Not here: what the schema is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script.base import Script
from alembic.script.revision import RevisionMap

from jobhub.domain.errors import OperatorError
from jobhub.postgres.files import migration_files, newest_revision

_LOCK = 7203641857  # any number nobody else uses
# A migration that can't get its lock soon must give up: everybody who comes after it in the lock's queue waits too.
_LOCK_TIMEOUT = "10s"
MINIMUM_MAJOR = 15


def migrate(dsn: str, *, target: str | None = None) -> list[str]:
    """Apply what is missing up to `target` (the newest, if None); the names of the files that were applied.

    Raises:
        OperatorError: no connection, a server that is too old, or a schema newer than this program.
    """
    with _connection(dsn) as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
        connection.commit()  # the lock is the session's; an open transaction would make all files one
        applied: list[str] = []
        context = MigrationContext.configure(
            connection,
            opts={"fn": lambda heads, _context: _steps(heads, connection, target, applied), "transaction_per_migration": True},
        )
        with context.begin_transaction():
            context.run_migrations()
        return applied


def current_revision(dsn: str) -> str | None:
    """The revision a database is at; None before the first migration.

    Raises:
        OperatorError: no connection.
    """
    with _connection(dsn) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _steps(heads: tuple[str, ...], connection: sa.Connection, target: str | None, applied: list[str]) -> Iterator[RevisionStep]:
    """One Alembic step per file after `heads`; each notes its file in `applied`."""
    current = heads[0] if heads else "0000"
    if current > newest_revision():
        raise OperatorError(
            f"The database is at schema {current}, newer than the {newest_revision()} this version of jobhub knows: install a newer jobhub."
        )
    scripts = [_script(path, previous, connection) for previous, path in _pairs(migration_files())]
    revisions = RevisionMap(lambda: scripts)
    missing = revisions.iterate_revisions(target or "heads", heads or "base")
    for script in reversed([script for script in missing if isinstance(script, Script)]):
        yield RevisionStep(revisions, script, is_upgrade=True)
        applied.append(Path(script.path).name)


def _pairs(paths: Sequence[Path]) -> Iterator[tuple[Path | None, Path]]:
    return zip((None, *paths), paths, strict=False)


def _script(path: Path, previous: Path | None, connection: sa.Connection) -> Script:
    """A numbered SQL file in the shape of an Alembic revision script."""
    module = ModuleType(path.stem)
    module.__dict__["down_revision"] = previous.name[:4] if previous else None
    module.__dict__["upgrade"] = lambda: _apply(connection, path)
    return Script(module, path.name[:4], str(path))


def _apply(connection: sa.Connection, path: Path) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    # psycopg itself, because SQLAlchemy would look for placeholders; without parameters a file may hold many statements.
    driver_connection: Any = connection.connection.driver_connection
    try:
        driver_connection.execute(path.read_text(encoding="utf-8"))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise OperatorError(
            f"{path.name} changed nothing, because a table it needs is in use: {error.diag.message_primary}. Stop API and workers and end "
            "long transactions (pg_stat_activity lists them), then run `jobhub migrate` again."
        ) from error


@contextmanager
def _connection(dsn: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=10), poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            version = connection.dialect.server_version_info or (0,)
            if int(version[0]) < MINIMUM_MAJOR:
                raise OperatorError(f"The server is PostgreSQL {version[0]}; jobhub needs {MINIMUM_MAJOR} or newer.")
            yield connection
    except (sa.exc.OperationalError, psycopg.OperationalError) as error:
        raise OperatorError(f"The database can't be reached or migrated: {str(error.__cause__ or error).strip()}") from error
    finally:
        engine.dispose()
