"""docs/writing-handlers.md: its example is saved, tested by its own tests and tried as it says."""

import subprocess
import sys
from pathlib import Path

from tests.acceptance.service import clean_environ
from tests.contract.documents import blocks, console_steps, is_as_expected, run_steps

GUIDE = "docs/writing-handlers.md"


def test_the_example_passes_the_tests_that_are_shown_and_runs(tmp_path):
    example, *_, tests = blocks(GUIDE, "python")
    (tmp_path / "shop_jobs.py").write_text(example)
    (tmp_path / "test_shop_jobs.py").write_text(tests)
    environ = clean_environ() | {"PYTHONDONTWRITEBYTECODE": "1", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    (tried,) = [step for step in console_steps(GUIDE) if "jobhub run" in step.command]

    assert f"{tests.count('def test_')} passed" in tested.stdout, tested.stdout + tested.stderr
    (shown,) = run_steps([tried], environ=environ, directory=tmp_path)
    assert is_as_expected(tried, shown), shown
