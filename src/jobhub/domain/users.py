"""Who may ask: users and their roles. Not here: passwords (`services.accounts`) and tokens (`services.tokens`)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Role(StrEnum):
    """The labels of the database type `user_role`."""

    USER = "user"
    ADMIN = "admin"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One account. `email` is kept as typed and compared without case."""

    id: UUID
    email: str
    role: Role
    disabled: bool
    created_at: datetime

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN
