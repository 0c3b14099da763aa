"""Accounts and refresh tokens: one function per statement. Not here: failed logins (`store.guessing`)."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from asyncpg import Record

from jobhub.domain.users import Role, User
from jobhub.store.batching import Batches
from jobhub.store.database import Connection
from jobhub.store.jobs import Act

_MAX_LOOK_UPS = 1000  # requests are answered one by one afterwards; more at once would only be a longer pause for all others


def user_from(row: Record) -> User:
    """One row as a User."""
    return User(id=row["id"], email=row["email"], role=Role(row["role"]), disabled=row["disabled"], created_at=row["created_at"])


async def get_user(db: Connection, user_id: UUID) -> User | None:
    """One account, or None."""
    row = await db.fetch_row("get_user", user_id=user_id)
    return user_from(row) if row else None


async def get_users(db: Connection, user_ids: Iterable[UUID]) -> dict[UUID, User]:
    """Those accounts that there are, by id."""
    return {row["id"]: user_from(row) for row in await db.fetch("get_users", user_ids=list(user_ids))}


class Accounts:
    """Looks accounts up, as each request does: those that are asked for during one look share the next.

    What is answered was read after it was asked for, so a change that was committed before is never missed.
    """

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._batches = Batches(self._look_up, max_items=_MAX_LOOK_UPS)

    async def get(self, user_id: UUID) -> User | None:
        """One account, or None."""
        return await self._batches.put(user_id)

    async def _look_up(self, user_ids: list[UUID]) -> list[User | None]:
        found = await get_users(self._db, set(user_ids))
        return [found.get(user_id) for user_id in user_ids]


async def get_user_by_email(db: Connection, email: str) -> tuple[User, str] | None:
    """One account and its password hash, or None; case does not matter."""
    row = await db.fetch_row("get_user_by_email", email=email)
    return (user_from(row), row["password_hash"]) if row else None


async def list_users(db: Connection) -> list[User]:
    """All accounts, oldest first."""
    return [user_from(row) for row in await db.fetch("list_users")]


async def create_user(db: Connection, *, user_id: UUID, email: str, password_hash: str, role: Role, act: Act) -> User | None:
    """The new account, or None if the address is taken."""
    row = await db.fetch_row(
        "create_user", id=user_id, email=email, password_hash=password_hash, role=role, actor_id=act.actor_id, request_id=act.request_id
    )
    return user_from(row) if row else None


async def lock_active_administrators(db: Connection) -> set[UUID]:
    """Ids of all active administrators, their rows locked until the transaction ends."""
    return {row["id"] for row in await db.fetch("lock_active_administrators")}


async def change_user(
    db: Connection, user_id: UUID, *, role: Role | None, password_hash: str | None, disabled: bool | None, act: Act
) -> User | None:
    """The changed account, or None if there is none; what is None stays as it is."""
    changes: dict[str, Any] = {"role": role, "password_hash": password_hash, "disabled": disabled}
    row = await db.fetch_row("change_user", user_id=user_id, actor_id=act.actor_id, request_id=act.request_id, **changes)
    return user_from(row) if row else None


async def revoke_tokens_of_user(db: Connection, user_id: UUID) -> None:
    """End every login of an account, in the transaction of `change_user` and after it."""
    await db.execute("revoke_tokens_of_user", user_id=user_id)


async def lock_user_to_log_in(db: Connection, user_id: UUID, *, password_hash: str) -> bool:
    """Hold an account until the transaction ends; False: it was disabled or its password was changed."""
    return await db.fetch_row("lock_user_to_log_in", user_id=user_id, password_hash=password_hash) is not None


async def lock_user_of_refresh_token(db: Connection, *, token_id: UUID) -> User | None:
    """The token's user, held until the transaction ends; None if there is no such token."""
    row = await db.fetch_row("lock_user_of_refresh_token", id=token_id)
    return user_from(row) if row else None


async def replace_password_hash(db: Connection, user_id: UUID, *, old_hash: str, new_hash: str) -> None:
    """Keep the same password under newer hashing parameters."""
    await db.execute("replace_password_hash", user_id=user_id, old_hash=old_hash, new_hash=new_hash)


async def add_refresh_token(
    db: Connection, *, token_id: UUID, family_id: UUID, user_id: UUID, secret_sha256: bytes, lifetime_seconds: float
) -> None:
    """Put a refresh token on record."""
    await db.execute(
        "add_refresh_token",
        id=token_id,
        family_id=family_id,
        user_id=user_id,
        secret_sha256=secret_sha256,
        lifetime_seconds=lifetime_seconds,
    )


async def use_refresh_token(db: Connection, *, token_id: UUID, secret_sha256: bytes) -> tuple[UUID, UUID] | None:
    """The token's user and family, once; None if it can't be used (again)."""
    row = await db.fetch_row("use_refresh_token", id=token_id, secret_sha256=secret_sha256)
    return (row["user_id"], row["family_id"]) if row else None


async def revoke_family_of_token(db: Connection, *, token_id: UUID, secret_sha256: bytes) -> int:
    """Revoke all tokens of one login, one that is being handed out at the moment too; how many. Not in a transaction."""
    revoked = 0
    while row := await db.fetch_row("revoke_family_of_token", id=token_id, secret_sha256=secret_sha256):
        if not row["revoked"]:
            break
        revoked += int(row["revoked"])
    return revoked


async def remove_expired_tokens(db: Connection) -> int:
    """Forget a batch of refresh tokens that can't be used any more; how many."""
    row = await db.fetch_row("remove_expired_tokens")
    return int(row["removed"]) if row else 0
