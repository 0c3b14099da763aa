"""Access tokens: signed claims about who asks. Source: RFC 7519, RFC 8725.

The algorithm is fixed here and never taken from the token. Not here: refresh tokens, which are rows (`services.accounts`).
"""

import hashlib
import re
import secrets
import time
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
import msgspec
import uuid_utils.compat

from jobhub.domain.errors import OperatorError, Unauthenticated

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "jobhub"
LIFETIME_SECONDS = 15 * 60
CLOCK_SKEW_SECONDS = 5
MIN_SECRET_BYTES = 32
# A client sends the same token for a quarter of an hour, and checking its signature costs as much as all the rest of a request's checks.
_MAX_REMEMBERED = 1000
_TYPES = ("jwt", "at+jwt")  # RFC 9068's name for access tokens too; never something else signed with the same key
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
# What people paste from examples; a secret that everybody knows is none.
_SAMPLE = re.compile(r"change[-_ ]?me|change[-_ ]?this|your[-_ ]|secret[-_ ]?key|example|sample|password|^(.)\1*$", re.IGNORECASE)


class Keys(msgspec.Struct, frozen=True):
    """What we sign with, and what is still accepted while keys are being changed."""

    current: bytes
    previous: bytes | None = None

    @property
    def accepted(self) -> tuple[bytes, ...]:
        return (self.current,) if self.previous is None else (self.current, self.previous)


def check_secret(secret: str, variable: str = "JOBHUB_SECRET_KEY") -> bytes:
    """The signing key. Raises OperatorError if it is too short or a well-known sample."""
    advice = f"make one with: python3 -c 'import secrets; print(secrets.token_urlsafe({MIN_SECRET_BYTES}))'"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise OperatorError(f"{variable} must have at least {MIN_SECRET_BYTES} bytes, it has {len(secret.encode())}: {advice}")
    if _SAMPLE.search(secret):
        raise OperatorError(f"{variable} looks like a sample from some documentation: {advice}")
    return secret.encode()


def new_secret() -> str:
    """A fresh random secret in text form."""
    return secrets.token_urlsafe(MIN_SECRET_BYTES)


def key_id(key: bytes) -> str:
    """The `kid` of a key of ours. Tells it from the other one and nothing else about it."""
    return hashlib.sha256(b"jobhub kid\0" + key).digest()[:8].hex()


def sign(keys: Keys, user_id: UUID, *, now: float, lifetime_seconds: float = LIFETIME_SECONDS) -> str:
    """An access token for a user; `now` in seconds since the epoch."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "iat": int(now),
        "exp": int(now + lifetime_seconds),
        "jti": str(uuid_utils.compat.uuid7()),
    }
    return jwt.encode(claims, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})


class _Claims(msgspec.Struct, frozen=True):
    sub: UUID
    exp: int


def verify(keys: Keys, token: str) -> UUID:
    """The user id a token speaks for. Raises Unauthenticated: forged, expired, or not for us."""
    claims = _verified(keys, token)
    if claims.exp + CLOCK_SKEW_SECONDS <= time.time():
        raise expired_token()
    return claims.sub


@lru_cache(maxsize=_MAX_REMEMBERED)
def _verified(keys: Keys, token: str) -> _Claims:
    """What a token says that was good when it was first seen. Nothing but time can change that, and of the times only `exp`."""
    try:
        return msgspec.convert(_decoded(keys, token), _Claims, strict=False)
    except jwt.ExpiredSignatureError:
        raise expired_token() from None
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError, OverflowError, RecursionError):
        raise bad_token() from None


def _decoded(keys: Keys, token: str) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    check_type(header)
    # Tokens from before there were key ids have none.
    for key in keys.accepted:
        if header.get("kid", key_id(key)) == key_id(key):
            try:
                return _decoded_with(key, token)
            except jwt.InvalidSignatureError:
                continue
    raise jwt.InvalidSignatureError("no key of ours fits")


def _decoded_with(key: bytes, token: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        audience=AUDIENCE,
        issuer=ISSUER,
        leeway=timedelta(seconds=CLOCK_SKEW_SECONDS),
        options={"require": REQUIRED_CLAIMS},
    )


def bad_token() -> Unauthenticated:
    """The refusal of any token that isn't good, whatever is wrong with it."""
    return Unauthenticated("The token is not valid here.", code="invalid_token")


def check_type(header: dict[str, Any]) -> None:
    """Raises InvalidTokenError: the header says that this is something else than an access token."""
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise jwt.InvalidTokenError("of another type")


def expired_token() -> Unauthenticated:
    """The refusal of a token that was good once."""
    return Unauthenticated("The token has expired: get a new one.", code="token_expired")
