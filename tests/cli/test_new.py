"""`jobhub new`: what it writes works as it is."""

import json
import os
import subprocess
import sys

import pytest

from tests.acceptance.service import clean_environ
from tests.cli.test_main import refusal, run

pytestmark = pytest.mark.xdist_group("client")


def test_a_new_package_passes_its_own_tests_and_runs(tmp_path):
    directory = tmp_path / "shop_jobs"
    written = run("new", str(directory), PATH="/usr/bin:/bin")

    environ = clean_environ() | {"PYTHONDONTWRITEBYTECODE": "1"}
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    tried = subprocess.run(
        ["make", "--no-print-directory", "try", f"PYTHON={sys.executable}"],
        cwd=directory,
        env=environ | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert written.returncode == 0, written.stderr
    assert "shop_jobs/shop_jobs/jobs.py" in written.stdout
    assert f"export PYTHON={sys.executable}" in written.stdout  # no python3 of that path has jobhub
    assert "3 passed" in tests.stdout, tests.stdout + tests.stderr
    assert json.loads(tried.stdout.splitlines()[-1]) == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert not [file for file in directory.rglob("*") if file.is_file() and "mypackage" in file.read_text()]
    assert not list(directory.rglob("*.txt"))


def test_nothing_is_overwritten(tmp_path):
    assert "is there already" in refusal("new", str(tmp_path))


@pytest.mark.parametrize("name", ["My-Jobs", "1jobs", "class", "jobs.py"])
def test_a_name_that_is_no_packages_is_refused(tmp_path, name):
    assert "can't be the name of a package" in refusal("new", str(tmp_path / name))
