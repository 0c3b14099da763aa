"""Logging in and out, and managing accounts."""

import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import uuid_utils.compat

from jobhub.contract.accounts import TokenPair
from jobhub.domain.errors import EmailTaken, FieldError, InvalidInput, LastAdministrator, NotFound, Unauthenticated
from jobhub.domain.limits import Usage
from jobhub.domain.users import Role, User
from jobhub.services import credentials, tokens
from jobhub.services.passwords import Passwords, password_problem
from jobhub.services.provider import Provider
from jobhub.services.tokens import Keys
from jobhub.store import jobs as jobs_store
from jobhub.store import sessions as sessions_store
from jobhub.store import users as store
from jobhub.store.database import Connection, Database
from jobhub.store.jobs import Act

REFRESH_LIFETIME_SECONDS = 30 * 86400.0  # a month without coming by, and one logs in again
NO_PASSWORD = "$argon2id$no-password-fits"  # noqa: S105 - not a hash, so nothing hashes to it
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+")
MAX_EMAIL_LENGTH = 254  # RFC 5321's limit for a path, less its angle brackets


async def log_in(
    db: Database, passwords: Passwords, keys: Keys, *, email: str, password: str, client: str | None, failures_per_address: int
) -> TokenPair:
    """Tokens for who knows the password; `client` is the address they come from. Raises as `credentials.enter`."""

    async def begin(connection: Connection, user_id: UUID) -> TokenPair:
        return await _token_pair(connection, keys, user_id, family_id=uuid_utils.compat.uuid7())

    _, pair = await credentials.enter(
        db, passwords, begin, email=email, password=password, client=client, failures_per_address=failures_per_address
    )
    return pair


async def get_or_create(db: Database, email: str) -> User:
    """The account with this e-mail address, made if there is none, without a password anybody could log in with.

    For addresses somebody else vouches for. Raises InvalidInput: it is no address.
    """
    if found := await store.get_user_by_email(db, email):
        return found[0]
    if errors := list(account_errors({"email": email})):
        raise InvalidInput(errors)
    act = Act(actor_id=None, reason=None, request_id=None)
    created = await store.create_user(
        db, user_id=uuid_utils.compat.uuid7(), email=email, password_hash=NO_PASSWORD, role=Role.USER, act=act
    )
    if created:
        return created
    found = await store.get_user_by_email(db, email)  # made by somebody else in the meantime
    if found is None:
        raise EmailTaken(email)
    return found[0]


async def refresh(db: Database, keys: Keys, *, refresh_token: str) -> TokenPair:
    """The next pair of tokens. A token that was used before revokes all that came from its login.

    Raises:
        Unauthenticated: unknown, expired, used or revoked; or the user is disabled.
    """
    token_id, secret_sha256 = _parse_refresh_token(refresh_token)
    async with db.transaction() as session:
        user = await store.lock_user_of_refresh_token(session, token_id=token_id)
        used = await store.use_refresh_token(session, token_id=token_id, secret_sha256=secret_sha256)
        if used and user and not user.disabled:
            user_id, family_id = used
            return await _token_pair(session, keys, user_id, family_id=family_id)
    await store.revoke_family_of_token(db, token_id=token_id, secret_sha256=secret_sha256)
    raise _bad_refresh_token()


async def log_out(db: Database, *, refresh_token: str) -> None:
    """Revoke a login; one that is gone already is fine."""
    token_id, secret_sha256 = _parse_refresh_token(refresh_token)
    await store.revoke_family_of_token(db, token_id=token_id, secret_sha256=secret_sha256)


async def _token_pair(db: Connection, keys: Keys, user_id: UUID, *, family_id: UUID) -> TokenPair:
    token_id, secret = uuid_utils.compat.uuid7(), secrets.token_bytes(32)
    await store.add_refresh_token(
        db,
        token_id=token_id,
        family_id=family_id,
        user_id=user_id,
        secret_sha256=hashlib.sha256(secret).digest(),
        lifetime_seconds=REFRESH_LIFETIME_SECONDS,
    )
    return TokenPair(
        access_token=tokens.sign(keys, user_id, now=time.time()),
        token_type="bearer",  # noqa: S106 - the scheme's name
        expires_in=tokens.LIFETIME_SECONDS,
        refresh_token=base64.urlsafe_b64encode(token_id.bytes + secret).decode("ascii"),
    )


def _parse_refresh_token(refresh_token: str) -> tuple[UUID, bytes]:
    try:
        raw = base64.b64decode(refresh_token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 48:
        raise _bad_refresh_token()
    return UUID(bytes=raw[:16]), hashlib.sha256(raw[16:]).digest()


def _bad_refresh_token() -> Unauthenticated:
    return Unauthenticated("The refresh token is not valid any more: log in again.", code="invalid_refresh_token")


async def authenticate(db: Database, users: store.Accounts, keys: Keys, provider: Provider | None, access_token: str) -> User:
    """The user an access token speaks for, ours or the provider's. Raises Unauthenticated: a bad token, or the user is disabled."""
    if provider and provider.issued(access_token):
        return await _user_of_provider(db, await provider.email_of(access_token))
    return await active_user(users, tokens.verify(keys, access_token))


async def _user_of_provider(db: Database, email: str | None) -> User:
    found = await store.get_user_by_email(db, email) if email else None
    if found is None or found[0].disabled:
        raise Unauthenticated("There is no account for the e-mail address of this token.", code="unknown_account")
    return found[0]


async def active_user(users: store.Accounts, user_id: UUID) -> User:
    """A user as they are now. Raises Unauthenticated: there is none, or a disabled one."""
    user = await users.get(user_id)
    if user is None or user.disabled:
        raise tokens.bad_token()
    return user


async def email_of(users: store.Accounts, user_id: UUID) -> str:
    """The e-mail address of an account that owns something; accounts are never deleted."""
    user = await users.get(user_id)
    if user is None:
        raise NotFound("user", user_id)
    return user.email


def account_errors(fields: Mapping[str, Any]) -> Iterator[FieldError]:
    """What is wrong with those of `email` and `password` that are given."""
    email, password = fields.get("email"), fields.get("password")
    if email is not None and (len(email.strip()) > MAX_EMAIL_LENGTH or not _EMAIL.fullmatch(email.strip())):
        yield FieldError("/email", f"must be an e-mail address of at most {MAX_EMAIL_LENGTH} characters")
    if password is not None and (problem := password_problem(password)):
        yield FieldError("/password", problem)


async def create_user(db: Database, passwords: Passwords, *, email: str, password: str, role: Role, act: Act) -> User:
    """A new account.

    Raises:
        InvalidInput: no e-mail address, or a password of the wrong length.
        EmailTaken: there is one with this address, in whatever case.
    """
    email = email.strip()
    if errors := list(account_errors({"email": email, "password": password})):
        raise InvalidInput(errors)
    user = await store.create_user(
        db, user_id=uuid_utils.compat.uuid7(), email=email, password_hash=await passwords.hash(password), role=role, act=act
    )
    if user is None:
        raise EmailTaken(email)
    return user


async def change_user(
    db: Database, passwords: Passwords, user_id: UUID, *, role: Role | None, password: str | None, disabled: bool | None, act: Act
) -> User:
    """Change what is not None. A disabled user is refused at once, and their pending jobs are cancelled.

    Raises:
        InvalidInput: a password of the wrong length.
        NotFound: no such user.
        LastAdministrator: nobody would be left to administer.
    """
    if errors := list(account_errors({"password": password})):
        raise InvalidInput(errors)
    password_hash = await passwords.hash(password) if password is not None else None
    async with db.transaction() as session:
        if role is Role.USER or disabled:
            administrators = await store.lock_active_administrators(session)
            if administrators == {user_id}:
                raise LastAdministrator
        user = await store.change_user(session, user_id, role=role, password_hash=password_hash, disabled=disabled, act=act)
        if user is None:
            raise NotFound("user", user_id)
        if password_hash is not None or disabled:
            await store.revoke_tokens_of_user(session, user_id)
            await sessions_store.end_sessions_of_user(session, user_id)
        while disabled and await jobs_store.cancel_pending_jobs_of_user(session, user_id, act=_because_disabled(act)):
            pass
    return user


def _because_disabled(act: Act) -> Act:
    return msgspec.structs.replace(act, reason="the account was disabled")


async def get_usage(db: Database, user: User) -> Usage:
    """How much of their limits a user has used now."""
    return await jobs_store.get_usage(db, user.id)


async def get_usage_of(db: Database, user_id: UUID) -> Usage:
    """The same of an account by its id."""
    return await jobs_store.get_usage(db, user_id)


async def list_users(db: Database) -> list[User]:
    """All accounts, oldest first."""
    return await store.list_users(db)


async def usage_of(db: Database, users: Sequence[User]) -> dict[UUID, Usage]:
    """How much of their limits some users have used now, by their ids."""
    return await jobs_store.get_usage_of_users(db, [user.id for user in users])
