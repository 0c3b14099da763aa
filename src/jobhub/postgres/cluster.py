"""One data directory: its lock, its creation by initdb, the checks before a server may open it, where its socket goes.

    <directory>/.lock           held while somebody starts a server, creates the data or takes the socket's directory away
    <directory>/pgdata          PostgreSQL's own; `pgdata.new-*` until initdb has finished
    <directory>/run             the socket. Whoever can enter this directory is the superuser: mode 0700 is the access control
    <directory>/postgres.log    what the server says, from all its starts

Not here: the running server (`postgres.embedded`).
"""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from jobhub.domain.errors import OperatorError
from jobhub.postgres.account import Account, may_search
from jobhub.postgres.binaries import Binaries
from jobhub.postgres.process import spawn

PORT = 5432  # only part of the socket's name: the server does not listen on the network
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_BYTES = 103  # sockaddr_un.sun_path without the final zero: 103 on macOS and the BSDs, 107 on Linux
UNUSABLE = re.compile(r"[,\"\n\udc80-\udcff]")  # separates or quotes directories in PostgreSQL or libpq, or is no UTF-8
LOCK_SECONDS = 330.0  # a starter gives up after 300 s, see embedded.START_SECONDS
POLL_SECONDS = 0.02
# The operator's to change afterwards. With less room for WAL a clean-up waits for the disk with everybody else (docs/performance.md).
CONF = """
# Set by jobhub when it made this directory. Change it as you like.
shared_buffers = 256MB
wal_buffers = 16MB
"""
BUILTIN_LOCALE_MAJOR = 17  # brings a C.UTF-8 of its own that sorts alike on every machine; before, it is the C library's


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data is and with what, as whom and how it is served. `durable=False` gives up crash safety for speed (tests)."""

    directory: Path
    binaries: Binaries
    account: Account | None
    environ: Mapping[str, str]
    durable: bool

    @property
    def pgdata(self) -> Path:
        return self.directory / "pgdata"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"


@contextmanager
def locked(cluster: Cluster, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the directory against other starters. Raises OperatorError: one of them did not finish within `seconds`."""
    path = cluster.directory / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise OperatorError(f"Another process holds {path}: end it, or use another data directory.")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def prepare(cluster: Cluster) -> None:
    """Make the data directory unless it is there, and check that these programs may open it. Under the lock.

    Raises OperatorError: initdb failed, the data is of another major version or somebody else's, or it is no data directory.
    """
    pgdata = cluster.pgdata
    if not pgdata.exists() or (os.access(pgdata, os.R_OK) and not any(pgdata.iterdir())):
        _create(cluster)
    owner = pgdata.stat().st_uid
    if owner != (cluster.account.uid if cluster.account else os.geteuid()):
        raise OperatorError(f"{pgdata} belongs to the user number {owner}: run jobhub as that user, or as root with JOBHUB_PG_USER.")
    try:
        major = int((pgdata / "PG_VERSION").read_text().split(".")[0])
    except (FileNotFoundError, ValueError):
        raise OperatorError(
            f"{pgdata} holds something other than PostgreSQL's data: move it away, or use another data directory."
        ) from None
    if major != cluster.binaries.major:
        raise OperatorError(
            f"{pgdata} was written by PostgreSQL {major}, but {cluster.binaries.bin_dir} is PostgreSQL {cluster.binaries.major}: "
            f"point JOBHUB_PG_BINDIR at PostgreSQL {major}, or dump the database with it (pg_dump), move {pgdata} away, "
            "start again and restore the dump (pg_restore)."
        )


def _create(cluster: Cluster) -> None:
    for unfinished in cluster.directory.glob("pgdata.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)  # race: an initdb whose parent was killed may be writing still
    fresh = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=cluster.directory))
    try:
        if cluster.account:
            os.chown(fresh, cluster.account.uid, cluster.account.gid)
        _initdb(cluster, fresh)
        _append(fresh / "postgresql.conf", CONF)
        fresh.rename(cluster.pgdata)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _sync(cluster.directory)  # or the new name may be lost with the power, and the data with it at the next start


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as appended:
        appended.write(text)
        appended.flush()
        os.fsync(appended.fileno())


def _initdb(cluster: Cluster, target: Path) -> None:
    builtin = ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
    command = [
        *(str(cluster.binaries.bin_dir / "initdb"), "-D", str(target), "-U", "postgres", "--encoding=UTF8", "--data-checksums"),
        *(builtin if cluster.binaries.major >= BUILTIN_LOCALE_MAJOR else ["--locale=C.UTF-8"]),
        *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"),
        *(() if cluster.durable else ("--no-sync",)),
    ]
    initdb = spawn(command, account=cluster.account, environ=cluster.environ, directory=cluster.directory, output=subprocess.PIPE)
    try:
        output, _ = initdb.communicate()
    except BaseException:
        initdb.terminate()
        initdb.communicate()
        raise
    if initdb.returncode != 0:
        said = output.decode(errors="replace").strip()
        raise OperatorError(f"initdb could not create {cluster.pgdata} (exit {initdb.returncode}): put right what it says.\n{said}")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_socket_directory(cluster: Cluster) -> Path:
    """`run`, or a directory with a short name among the temporary files if that path does not fit a socket. Under the lock.

    Raises OperatorError: every candidate is too long, or somebody else was there first.
    """
    for path in (cluster.directory / "run", *_short_directories(cluster)):
        if _fits(path) and (cluster.account is None or may_search(path.parent, cluster.account)):
            _make_private(path, cluster.account)
            return path
    raise OperatorError(
        f"{cluster.directory} is too long for a socket and so is the directory of temporary files: set TMPDIR to a short one."
    )


def remove_socket_directory(cluster: Cluster) -> None:
    """Leave nothing among the temporary files. Under the lock; does nothing while a server uses it."""
    for path in _short_directories(cluster):
        with suppress(OSError):
            path.rmdir()


def _short_directories(cluster: Cluster) -> list[Path]:
    name = f"jobhub-{os.geteuid()}-{hashlib.sha256(os.fsencode(cluster.directory)).hexdigest()[:12]}"
    return [Path(tempfile.gettempdir(), name), Path("/tmp", name)]


def _fits(path: Path) -> bool:
    return not UNUSABLE.search(str(path)) and len(os.fsencode(path / SOCKET_NAME)) <= SOCKET_BYTES


def _make_private(path: Path, account: Account | None) -> None:
    """A directory only the server (and root) can enter. The temporary files are everybody's: one made by a stranger is refused."""
    owner = account.uid if account else os.geteuid()
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()) or found.st_mode & 0o077:
            raise OperatorError(f"{path} must be a directory of the server's own with mode 0700: remove it.") from None
    if account:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
