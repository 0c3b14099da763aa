"""Tickets: each opens one event stream, soon. EventSource in a browser can't send a header, and an access token has no place in a URL.

Kept in PostgreSQL, so that any API process takes it, and only its hash: who reads the table, or a log with old URLs, can open nothing.
"""

import hashlib
import secrets

import msgspec

from jobhub.domain.errors import Unauthenticated
from jobhub.domain.users import User
from jobhub.store import tickets as store
from jobhub.store.database import Database

LIFETIME_SECONDS = 30  # it is used at once, by the same page


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into `?ticket=` of an event stream, once, within `expires_in` seconds."""

    ticket: str
    expires_in: int


async def make_ticket(db: Database, *, user: User) -> Ticket:
    """A new ticket for a user."""
    ticket = secrets.token_urlsafe(32)
    await store.add_ticket(db, secret_sha256=_fingerprint(ticket), user_id=user.id, lifetime_seconds=LIFETIME_SECONDS)
    return Ticket(ticket=ticket, expires_in=LIFETIME_SECONDS)


async def use_ticket(db: Database, ticket: str) -> User:
    """The user a ticket speaks for; it is void then. Raises Unauthenticated: unknown, expired or used, or the user is disabled."""
    user = await store.use_ticket(db, _fingerprint(ticket))
    if user is None or user.disabled:
        raise Unauthenticated("The ticket is not valid any more: each opens one stream, and soon.", code="invalid_ticket")
    return user


def _fingerprint(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).digest()
