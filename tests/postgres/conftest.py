"""A place for data that the server's account can reach, and starters that are stopped whatever a test did."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobhub.postgres.binaries import Binaries, find_binaries
from jobhub.postgres.embedded import EmbeddedServer, start_server
from jobhub.postgres.postmaster import find_running
from tests.postgres.starting import Starter, wait_until


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return find_binaries(os.environ)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that the server's account can reach. pytest's own are root's alone when root runs the tests.

    All data goes at the end: ext4 makes new files four times as slowly for five seconds after many were deleted.
    """
    path = tmp_path_factory.mktemp("homes") if os.geteuid() != 0 else Path(tempfile.mkdtemp(prefix="jobhub-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(homes: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=homes))
    path.chmod(0o711)
    yield path
    wait_until(lambda: find_running(path / "data" / "pgdata") is None)


@pytest.fixture
def start(home: Path, binaries: Binaries) -> Iterator[Callable[..., EmbeddedServer]]:
    servers: list[EmbeddedServer] = []

    def start(data_dir: Path = home / "data", **options: Any) -> EmbeddedServer:
        given: dict[str, Any] = {"binaries": binaries, "environ": {}, "durable": False} | options
        servers.append(start_server(data_dir, **given))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def starter(home: Path, binaries: Binaries) -> Iterator[Callable[..., Starter]]:
    starters: list[Starter] = []

    def starter(data_dir: Path = home / "data", **options: Any) -> Starter:
        starters.append(Starter(data_dir, binaries, **options))
        return starters[-1]

    yield starter
    for one in starters:
        one.stop()
