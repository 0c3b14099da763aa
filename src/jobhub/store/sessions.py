"""Sessions of browsers: one function per statement of sql/queries/sessions.sql. Not here: what a session is (`services.sessions`)."""

from uuid import UUID

from jobhub.domain.users import User
from jobhub.store.database import Connection
from jobhub.store.users import user_from


async def add_session(db: Connection, *, id_sha256: bytes, user_id: UUID, lifetime_seconds: float) -> None:
    """Put a session on record."""
    await db.execute("add_session", id_sha256=id_sha256, user_id=user_id, lifetime_seconds=lifetime_seconds)


async def use_session(db: Connection, id_sha256: bytes, *, idle_seconds: float, precision_seconds: float | None) -> User | None:
    """The session's user, seen now to within `precision_seconds`; None if it can't be used. With None it stays as idle as it was."""
    row = await db.fetch_row("use_session", id_sha256=id_sha256, idle_seconds=idle_seconds, precision_seconds=precision_seconds)
    return user_from(row) if row else None


async def end_session(db: Connection, id_sha256: bytes) -> None:
    """Sign one browser out; one that is out already is fine."""
    await db.execute("end_session", id_sha256=id_sha256)


async def end_sessions_of_user(db: Connection, user_id: UUID) -> None:
    """Sign a user out everywhere, in the transaction of `change_user` and after it."""
    await db.execute("end_sessions_of_user", user_id=user_id)


async def remove_expired_sessions(db: Connection) -> int:
    """Forget a batch of sessions that are over; how many."""
    row = await db.fetch_row("remove_expired_sessions")
    return int(row["removed"]) if row else 0
