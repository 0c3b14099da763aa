"""What a data directory knows: its secret key, and which `jobhub up` is running on it.

So that `jobhub token` and its like find the embedded database and its key without being told.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jobhub.cli.private_files import write_private
from jobhub.domain.errors import OperatorError
from jobhub.services.tokens import Keys, check_secret, new_secret
from jobhub.settings import Settings
from jobhub.store.address import check_address

THREE_WAYS_OUT = (
    "No database: set JOBHUB_DATABASE_URL (or DATABASE_URL) to a PostgreSQL 15 or newer; or start `jobhub up`, which brings its own; "
    "or, if it runs already, call this with the same JOBHUB_DATA_DIR."
)


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The `jobhub up` that holds a data directory."""

    pid: int
    url: str
    dsn: str


@contextmanager
def hold(data_dir: Path, running: Running) -> Iterator[None]:
    """Hold a data directory against a second `jobhub up`. Raises OperatorError that says who holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError(_held_by(data_dir)) from None
        publish(data_dir, running)
        try:
            yield
        finally:
            (data_dir / "up.json").unlink(missing_ok=True)


def _held_by(data_dir: Path) -> str:
    who = read_running(data_dir)
    holder = f"process {who.pid}, which serves {who.url}" if who else "another process"
    return f"The data directory {data_dir} is held by {holder}: stop that one, or choose another with --data-dir."


def publish(data_dir: Path, running: Running) -> None:
    """Let other commands find this one."""
    write_private(data_dir / "up.json", msgspec.json.encode(running))


def read_running(data_dir: Path) -> Running | None:
    """The `jobhub up` on a data directory, if it said so; it may have died since."""
    try:
        return msgspec.json.decode((data_dir / "up.json").read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None


def database_url(settings: Settings) -> str:
    """Where the database is: as set, or that of the `jobhub up` on the data directory. Raises OperatorError."""
    if settings.database_url:
        check_address(settings.database_url)
        return settings.database_url
    running = read_running(settings.data_dir)
    if running is None or not running.dsn:
        raise OperatorError(THREE_WAYS_OUT)
    return running.dsn


def secret_keys(settings: Settings) -> Keys:
    """The signing key: as set, or the one `jobhub up` keeps in the data directory; and the one before it. Raises OperatorError."""
    kept = settings.data_dir / "secret_key"
    if settings.secret_key is None and not kept.exists():
        raise OperatorError("JOBHUB_SECRET_KEY is not set: it signs the tokens and must be the same for all API processes.")
    current = check_secret(settings.secret_key or _read_key(kept))
    previous = settings.secret_key_previous
    return Keys(current, check_secret(previous, "JOBHUB_SECRET_KEY_PREVIOUS") if previous else None)


def _read_key(kept: Path) -> str:
    try:
        return kept.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"The signing key in {kept} can't be read ({error}): set JOBHUB_SECRET_KEY, or put that file right.") from error


def make_secret_keys(settings: Settings) -> Keys:
    """As `secret_keys`, but make one, readable by its owner only, if there is none."""
    kept = settings.data_dir / "secret_key"
    if settings.secret_key is None and not kept.exists():
        write_private(kept, new_secret().encode("ascii"))
    return secret_keys(settings)
