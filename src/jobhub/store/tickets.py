"""Tickets for event streams: one function per statement of sql/queries/users.sql. Not here: what a ticket is (`services.tickets`)."""

from uuid import UUID

from jobhub.domain.users import User
from jobhub.store.database import Connection
from jobhub.store.users import user_from


async def add_ticket(db: Connection, *, secret_sha256: bytes, user_id: UUID, lifetime_seconds: float) -> None:
    """Put a ticket on record."""
    await db.execute("add_stream_ticket", secret_sha256=secret_sha256, user_id=user_id, lifetime_seconds=lifetime_seconds)


async def use_ticket(db: Connection, secret_sha256: bytes) -> User | None:
    """The ticket's user, once; None if it can't be used (again)."""
    row = await db.fetch_row("use_stream_ticket", secret_sha256=secret_sha256)
    return user_from(row) if row else None


async def remove_expired_tickets(db: Connection) -> int:
    """Forget a batch of tickets that nobody used in time; how many."""
    row = await db.fetch_row("remove_expired_tickets")
    return int(row["removed"]) if row else 0
