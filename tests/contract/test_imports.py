"""What starts fast stays fast: each entry point loads only what it needs."""

import subprocess
import sys

import pytest


def loaded_by(code: str) -> set[str]:
    """The top-level packages that running some code loads, in a fresh interpreter."""
    report = f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.splitlines()[-1].split())


HELP = "import runpy; sys.argv = ['jobhub', '--help']\ntry: runpy.run_module('jobhub', run_name='__main__')\nexcept SystemExit: pass"


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (HELP, {"litestar", "uvicorn", "alembic", "procrastinate", "asyncpg", "httpx"}),
        ("import jobhub", {"litestar", "asyncpg", "psycopg", "procrastinate", "httpx", "structlog", "sqlalchemy"}),
        ("import jobhub.client", {"litestar", "asyncpg", "psycopg", "procrastinate", "structlog", "sqlalchemy", "rich_click"}),
        ("import jobhub.worker.service, jobhub.cli.commands", {"litestar", "uvicorn", "alembic", "argon2"}),
        ("import jobhub.worker.child", {"litestar", "procrastinate", "alembic"}),
        ("from jobhub.handlers.registry import load_registry; load_registry([], demo=True)", {"litestar", "httpx", "httpcore"}),
    ],
)
def test_nothing_unwanted_is_loaded(code, unwanted):
    assert loaded_by(code) & unwanted == set()
