"""Where the SQL files are: inside an installed package, or beside `src/` in a checkout. Not here: what is done with them."""

import re
from functools import cache
from pathlib import Path

from jobhub.domain.errors import OperatorError

_MIGRATION = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


@cache
def sql_directory() -> Path:
    """The folder with `migrations/`, `queries/` and `reports/`.

    Raises:
        OperatorError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "sql", package.parents[1] / "sql"):
        if (candidate / "migrations").is_dir():
            return candidate
    raise OperatorError(f"The folder 'sql' is missing beside {package}: install jobhub again.")


@cache
def migration_files() -> tuple[Path, ...]:
    """The numbered files of `migrations/`, in order."""
    return tuple(sorted(path for path in (sql_directory() / "migrations").iterdir() if _MIGRATION.fullmatch(path.name)))


def newest_revision() -> str:
    """The revision this version of the program needs: the number of the last file."""
    return migration_files()[-1].name[:4]
