"""Files that only their owner may read: keys and tokens."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replace a file, in one step, by one with mode 0600; it is on the disk when this returns."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
