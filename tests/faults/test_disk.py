"""A disk that is full: for the tables, and for the write-ahead log."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.service import wait_for
from tests.faults.history import Answer
from tests.faults.scene import Scene
from tests.faults.topology import Topology, topology

pytestmark = pytest.mark.faults_long
DISK = "size=260m,mode=755"
TEXT_BYTES = 1500


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, in memory."""
    path = Path(tempfile.mkdtemp(prefix="jobhub-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode != 0:
        path.rmdir()
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
        path.rmdir()


class Disk:
    """What the house's data lies on, and the file that fills it."""

    def __init__(self, path: Path) -> None:
        self._ballast = path / "ballast"

    def fill(self) -> None:
        block = b"\0" * 65536
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(block):
                pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def _on_disk() -> Iterator[tuple[Topology, Disk]]:
    with small_disk() as path, topology(apis=1, workers=1, postgres_directory=path / "postgres") as house:
        disk = Disk(path)
        yield house, disk
        disk.free()


@pytest.fixture
def disk(_on_disk: tuple[Topology, Disk]) -> Disk:
    return _on_disk[1]


@pytest.fixture
def scene(_on_disk: tuple[Topology, Disk]) -> Iterator[Scene]:
    house, disk = _on_disk
    house.heal()
    scene = Scene(house, "disk")
    yield scene
    scene.close()
    disk.free()
    house.heal()


def test_f21_no_room_for_tables(scene: Scene, disk: Disk) -> None:
    client = scene.client()
    job_id = client.submit_surely("faults.quick", "before")
    scene.wait_for_status(job_id, "completed")
    with scene.nobody_restarts():
        disk.fill()
        refused = _submit_until_refused(scene)
        read = client.read(job_id)
        scene.work_for(3)
        disk.free()
        recovery = scene.recovery_seconds(since=time.monotonic())

    assert (refused.status, read.status) == (503, 200)
    scene.settle("F-21", "no room for tables", recovery_seconds=recovery)


def test_f22_no_room_for_the_log(scene: Scene, disk: Disk) -> None:
    """The server ends itself over that, and can't even write why: its messages go to the same disk."""
    postgres = scene.house.postgres
    with scene.nobody_restarts():
        disk.fill()
        wait_for(lambda: _is_down(scene), seconds=60)
        scene.work_for(3)
        disk.free()
        postgres.start()
        recovery = scene.recovery_seconds(since=time.monotonic())

    scene.settle("F-22", "no room for the write-ahead log", recovery_seconds=recovery)


def _submit_until_refused(scene: Scene) -> object:
    client = scene.client("writer")
    for number in range(2000):
        call = client.submit("faults.quick", f"filling-{number}", description=os.urandom(TEXT_BYTES).hex())
        if call.answer is not Answer.OK:
            return call
    raise AssertionError("the disk never was full")


def _is_down(scene: Scene) -> bool:
    """Whether the server is gone. Asked for, it first writes a few megabytes of its log and nothing else."""
    try:
        with scene.house.postgres.connect() as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'filling', repeat('x', 4000000))")
    except psycopg.Error:  # no room, or no server: the next look says which
        return not scene.house.postgres.is_alive()
    return False
