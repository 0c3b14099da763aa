"""The built wheel carries everything the program reads at run time."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"


def test_the_wheel_holds_every_file_the_program_reads(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert built.returncode == 0, built.stderr

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())

    statements = {f"jobhub/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / "sql").rglob("*.sql")}
    pages = {str(path.relative_to(SOURCE)) for kind in ("templates", "static") for path in (SOURCE / "jobhub/web/ui" / kind).iterdir()}
    assert statements
    assert pages
    assert statements | pages <= packed
