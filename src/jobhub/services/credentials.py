"""The one way in by e-mail address and password, whatever one gets for it: tokens (`services.accounts`) or a session (`services.sessions`).

Guesses are slowed down here (`services.guessing`), the same count for both.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from jobhub.domain.errors import Unauthenticated
from jobhub.domain.users import User
from jobhub.services import guessing
from jobhub.services.passwords import Passwords
from jobhub.store import users as store
from jobhub.store.database import Connection, Database

T = TypeVar("T")
Begin = Callable[[Connection, UUID], Awaitable[T]]


async def enter(
    db: Database,
    passwords: Passwords,
    begin: Begin[T],
    *,
    email: str,
    password: str,
    client: str | None,
    failures_per_address: int,
) -> tuple[User, T]:
    """The user who knows the password, and what `begin` makes for them, in a transaction that holds their account as it was checked.

    `client` is the address they come from.

    Raises:
        Unauthenticated: wrong, or no such user, or a disabled one: nobody can tell which.
        TooManyAttempts: too many failures lately for this account or from this client; or too many logins at once.
    """
    guess = guessing.guess(email, client)
    await guessing.count_in(db, guess, per_network=failures_per_address)
    # Again if the hash was replaced meanwhile: by another login, which renewed it, or because the password was changed.
    entered = await _check(db, passwords, begin, email, password) or await _check(db, passwords, begin, email, password)
    if entered is None:
        raise _wrong_credentials()
    await guessing.count_out(db, guess, per_network=failures_per_address)
    return entered


async def _check(db: Database, passwords: Passwords, begin: Begin[T], email: str, password: str) -> tuple[User, T] | None:
    """As `enter`; None if the account changed while it was looked at. Raises Unauthenticated."""
    found = await store.get_user_by_email(db, email)
    user, password_hash = found or (None, None)
    if not await passwords.verify(password, password_hash) or user is None or password_hash is None or user.disabled:
        raise _wrong_credentials()
    async with db.transaction() as session:
        if not await store.lock_user_to_log_in(session, user.id, password_hash=password_hash):
            return None
        begun = await begin(session, user.id)
    if passwords.is_outdated(password_hash):
        await store.replace_password_hash(db, user.id, old_hash=password_hash, new_hash=await passwords.hash(password))
    return user, begun


def _wrong_credentials() -> Unauthenticated:
    return Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials")
