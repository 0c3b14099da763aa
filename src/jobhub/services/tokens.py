"""Access tokens: signed claims about who asks. Source: RFC 7519, RFC 8725.

The algorithm is fixed here and never taken from the token. Not here: refresh tokens, which are rows (`services.accounts`).
"""

import re
import secrets
import time
from datetime import timedelta
from functools import lru_cache
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
_REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
# What people paste from examples; a secret that everybody knows is none.
_SAMPLE = re.compile(r"change[-_ ]?me|change[-_ ]?this|your[-_ ]|secret[-_ ]?key|example|sample|password|^(.)\1*$", re.IGNORECASE)


def check_secret(secret: str) -> bytes:
    """The signing key. Raises OperatorError if it is too short or a well-known sample."""
    advice = f"make one with: python3 -c 'import secrets; print(secrets.token_urlsafe({MIN_SECRET_BYTES}))'"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise OperatorError(f"JOBHUB_SECRET_KEY must have at least {MIN_SECRET_BYTES} bytes, it has {len(secret.encode())}: {advice}")
    if _SAMPLE.search(secret):
        raise OperatorError(f"JOBHUB_SECRET_KEY looks like a sample from some documentation: {advice}")
    return secret.encode()


def new_secret() -> str:
    """A fresh random secret in text form."""
    return secrets.token_urlsafe(MIN_SECRET_BYTES)


def sign(key: bytes, user_id: UUID, *, now: float, lifetime_seconds: float = LIFETIME_SECONDS) -> str:
    """An access token for a user; `now` in seconds since the epoch."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "iat": int(now),
        "exp": int(now + lifetime_seconds),
        "jti": str(uuid_utils.compat.uuid7()),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


class _Claims(msgspec.Struct, frozen=True):
    sub: UUID
    exp: int


def verify(key: bytes, token: str) -> UUID:
    """The user id a token speaks for. Raises Unauthenticated: forged, expired, or not for us."""
    claims = _verified(key, token)
    if claims.exp + CLOCK_SKEW_SECONDS <= time.time():
        raise _expired()
    return claims.sub


@lru_cache(maxsize=_MAX_REMEMBERED)
def _verified(key: bytes, token: str) -> _Claims:
    """What a token says that was good when it was first seen. Nothing but time can change that, and of the times only `exp`."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=timedelta(seconds=CLOCK_SKEW_SECONDS),
            options={"require": _REQUIRED_CLAIMS},
        )
        return msgspec.convert(claims, _Claims, strict=False)
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
        raise Unauthenticated("The token is not valid here.", code="invalid_token") from None


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired: get a new one.", code="token_expired")
