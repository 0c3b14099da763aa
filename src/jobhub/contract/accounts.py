"""Accounts and tokens as they go over the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from jobhub.domain.limits import Usage
from jobhub.domain.users import Role


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=1024)]


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, msgspec.Meta(max_length=1000)]


class NewUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str
    password: str
    role: Role


class ChangeUserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Role | None = None
    password: str | None = None
    disabled: bool | None = None


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    role: Role
    disabled: bool
    created_at: datetime


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may have; null is no limit."""

    submits_per_minute: int | None
    pending_jobs: int | None
    running_jobs: int | None


class MeView(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, their limits, and under the same names how much of each is used, counted up to 100,000."""

    id: UUID
    email: str
    role: Role
    limits: LimitsView
    usage: Usage


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for the Authorization header, and a refresh token that buys the next pair, once."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
