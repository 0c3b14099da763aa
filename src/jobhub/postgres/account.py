"""Which system account runs the server, and where its files go so that this account can reach them.

Only root has the choice, because PostgreSQL refuses to run as root. Not here: starting a process as that account
(`postgres.process`). No account is ever created, and no directory that jobhub did not make is changed.
"""

import errno
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jobhub.domain.errors import OperatorError
from jobhub.postgres.binaries import Binaries

STATE_DIR = Path("/var/lib/jobhub")  # state of one program, Filesystem Hierarchy Standard 3.0, 5.8
USUAL_ACCOUNTS = ("postgres", "nobody")  # the server's own, if its package is installed; the other one is everywhere
NAME_LENGTH = 40  # of a moved directory: leaves room for the socket's name within 103 bytes


class Account(msgspec.Struct, frozen=True):
    """Somebody else the server runs as. Has an entry in passwd, without which initdb refuses to work."""

    name: str
    uid: int
    gid: int


def server_account(environ: Mapping[str, str]) -> Account | None:
    """None: we are an ordinary user, and the server runs as ourselves. Else JOBHUB_PG_USER, `postgres` or `nobody`.

    Raises OperatorError: there is no such account, or it is root again.
    """
    if os.geteuid() != 0:
        return None
    wanted = environ.get("JOBHUB_PG_USER")
    for name in (wanted,) if wanted else USUAL_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise OperatorError(f"JOBHUB_PG_USER is {name}, which is root, and PostgreSQL refuses to run as root: name another account.")
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise OperatorError(
        f"PostgreSQL can't run as root and there is no account {wanted or 'postgres or nobody'}: set JOBHUB_PG_USER to one."
    )


def server_directory(data_dir: Path, account: Account | None) -> Path:
    """Make and return the directory for the data: `data_dir`, or one below STATE_DIR if the account can't reach that.

    Once moved it stays there, whatever becomes of the permissions above `data_dir`. Raises OperatorError: the account can't
    reach data that is there already. Raises OSError.
    """
    path = data_dir.resolve()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if account is None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path
    directory = _reachable_directory(path, account)
    if not may_search(directory, account):
        raise OperatorError(
            f"The account {account.name} can't reach {directory}: let it search every directory above, or set JOBHUB_PG_USER."
        )
    return directory


def _reachable_directory(path: Path, account: Account) -> Path:
    moved = STATE_DIR / f"{path.name.strip('.')[:NAME_LENGTH] or 'data'}-{_digest(str(path))}"
    if moved.is_dir():
        return moved
    if (path / "pgdata").exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if may_search(path if path.exists() else path.parent, account):
        _make_searchable(path)
        return path
    _make_searchable(STATE_DIR)
    _make_searchable(moved)
    return moved


def may_search(directory: Path, account: Account) -> bool:
    """Whether the account can open what is inside, by the permission bits of the directory and everything above it."""
    for path in (directory, *directory.parents):
        found = path.stat()
        needed = stat.S_IXUSR if found.st_uid == account.uid else stat.S_IXGRP if found.st_gid == account.gid else stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def reachable_binaries(binaries: Binaries, account: Account | None) -> Binaries:
    """The same programs where the account can run them: in place, or copied once to STATE_DIR. Raises OperatorError, OSError."""
    if account is None or _can_run(binaries, account):
        return binaries
    tree = binaries.bin_dir.parent
    program = (binaries.bin_dir / "postgres").stat()
    copy = STATE_DIR / f"bin-{_digest(f'{tree} {program.st_size} {program.st_mtime_ns}')}"  # an upgrade in place is another copy
    copied = Binaries(copy / tree.parent.name / tree.name / "bin", binaries.major, f"copy of {binaries.bin_dir}")
    if (tree / "share").is_dir() and not copy.is_dir():
        _make_searchable(STATE_DIR)
        _copy_installation(tree, copy)
    if not _can_run(copied, account):
        raise OperatorError(f"The account {account.name} can't run the programs in {binaries.bin_dir}: point JOBHUB_PG_BINDIR at others.")
    return copied


def _can_run(binaries: Binaries, account: Account) -> bool:
    for program in ("postgres", "initdb"):  # initdb too: only it needs libpq
        command = [str(binaries.bin_dir / program), "--version"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, cwd="/", user=account.uid, group=account.gid, extra_groups=[])
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return True


def _copy_installation(tree: Path, copy: Path) -> None:
    """Copy what a server needs of `tree`, and the libraries that auditwheel keeps in a directory beside the package."""
    fresh = Path(tempfile.mkdtemp(prefix="bin-", suffix=".tmp", dir=STATE_DIR))
    package = tree.parent
    libraries = package.parent / f"{package.name}.libs"
    for source in (tree / "bin", tree / "lib", tree / "share", libraries):
        if source.is_dir():
            target = fresh / source.name if source == libraries else fresh / package.name / tree.name / source.name
            shutil.copytree(source, target, symlinks=True)
    _open_to_all(fresh)
    _publish(fresh, copy)


def _open_to_all(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _make_searchable(path: Path) -> None:
    """Make a directory of root's that others may pass through. One that exists is left alone."""
    if path.exists():
        return
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name[:NAME_LENGTH]}-", dir=path.parent))
    fresh.chmod(0o711)
    _publish(fresh, path)


def _publish(fresh: Path, path: Path) -> None:
    """Give `fresh` its name when it is complete: a second starter must not see it half made and decide to go elsewhere."""
    try:
        fresh.rename(path)
    except OSError:  # race: another starter was first. Its directory is as good as ours
        shutil.rmtree(fresh)
        if not path.is_dir():
            raise


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]
