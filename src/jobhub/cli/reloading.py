"""Noticing that source files have changed, for `jobhub up --reload`."""

import os
from collections.abc import Iterator
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 1.0  # a look at a thousand files takes some milliseconds


class Sources:
    """The Python files below a directory, without hidden directories and virtual environments."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen = dict(self._look())

    def have_changed(self) -> bool:
        """Whether a file is new, gone or written since this was last asked."""
        before, self._seen = self._seen, dict(self._look())
        return self._seen != before

    def _look(self) -> Iterator[tuple[str, int]]:
        for folder, folders, files in os.walk(self._directory):
            if "pyvenv.cfg" in files:
                folders.clear()
                continue
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__", "node_modules"))]
            for name in files:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)  # noqa: PTH118 - os.walk's own kind of path, and many of them
                    try:
                        yield path, os.stat(path).st_mtime_ns  # noqa: PTH116
                    except FileNotFoundError:
                        continue  # an editor has just replaced it
