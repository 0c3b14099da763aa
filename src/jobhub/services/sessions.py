"""Sessions of browsers: signing in to the pages, staying signed in, signing out, a new password of one's own.

Not here: the cookie (`web.ui.session`).

Kept in PostgreSQL, so that any API process knows them and the end of one is the end everywhere; and only the hash of their id, so who
reads the table can use none.
"""

import hashlib
import secrets
from uuid import UUID

from jobhub.domain.errors import FieldError, InvalidInput, Unauthenticated
from jobhub.domain.users import User
from jobhub.services import credentials
from jobhub.services.passwords import Passwords, password_problem
from jobhub.store import sessions as store
from jobhub.store import users as users_store
from jobhub.store.database import Connection, Database
from jobhub.store.jobs import Act

LIFETIME_SECONDS = 7 * 86400.0  # once a week one shows that one still knows the password
IDLE_SECONDS = 12 * 3600.0  # over night it is over; an open page that nobody looks at doesn't keep it alive
_PRECISION_SECONDS = 300.0  # how often a busy session is written down


async def sign_in(
    db: Database, passwords: Passwords, *, email: str, password: str, client: str | None, failures_per_address: int
) -> tuple[User, str]:
    """The user who knows the password, and the id of a new session, a secret. Raises as `credentials.enter`."""
    return await credentials.enter(
        db, passwords, _begin, email=email, password=password, client=client, failures_per_address=failures_per_address
    )


async def change_password(
    db: Database,
    passwords: Passwords,
    user: User,
    *,
    old: str,
    new: str,
    client: str | None,
    failures_per_address: int,
    act: Act,
) -> str:
    """A new password for who knows the old one. Every login and session of theirs is over then; the answer is the id of a new one.

    Raises:
        InvalidInput: `/old` is wrong, or `/new` is too short, too long or the same.
        TooManyAttempts: a wrong one here is counted as one at a login.
    """
    problem = password_problem(new) or ("must differ from the old one" if new == old else None)
    if problem:
        raise InvalidInput([FieldError("/new", problem)])

    async def begin(connection: Connection, user_id: UUID) -> str:
        password_hash = await passwords.hash(new)  # not before: who has to wait costs no hash
        await users_store.change_user(connection, user_id, role=None, password_hash=password_hash, disabled=None, act=act)
        await users_store.revoke_tokens_of_user(connection, user_id)
        await store.end_sessions_of_user(connection, user_id)
        return await _begin(connection, user_id)

    try:
        _, session_id = await credentials.enter(
            db, passwords, begin, email=user.email, password=old, client=client, failures_per_address=failures_per_address
        )
    except Unauthenticated as error:
        raise InvalidInput([FieldError("/old", "is wrong")]) from error
    return session_id


async def user_of(db: Database, session_id: str, *, is_use: bool = True) -> User:
    """Whose session it is; `is_use=False` is a look that keeps it no longer alive. Raises Unauthenticated: it is over, or never was."""
    user = await store.use_session(
        db, _fingerprint(session_id), idle_seconds=IDLE_SECONDS, precision_seconds=_PRECISION_SECONDS if is_use else None
    )
    if user is None:
        raise Unauthenticated("You are signed out.", code="invalid_session")
    return user


async def sign_out(db: Database, session_id: str) -> None:
    """End a session; one that is over already is fine."""
    await store.end_session(db, _fingerprint(session_id))


async def _begin(connection: Connection, user_id: UUID) -> str:
    session_id = secrets.token_urlsafe(32)
    await store.add_session(connection, id_sha256=_fingerprint(session_id), user_id=user_id, lifetime_seconds=LIFETIME_SECONDS)
    return session_id


def form_token(session_id: str) -> str:
    """What each form of a session's pages carries: no page of another origin can know it, and the id can't be told from it."""
    return hashlib.sha256(b"jobhub form\0" + session_id.encode("utf-8", "surrogatepass")).hexdigest()


def _fingerprint(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()
