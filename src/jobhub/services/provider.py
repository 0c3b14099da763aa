"""An identity provider beside our own tokens: its keys by JWKS, and what its tokens say. Source: RFC 7517, RFC 8725.

Address, issuer, audience and algorithm are configured; nothing in a token decides what is fetched or how it is verified. Not here: which
account a token stands for (`services.accounts`).
"""

import asyncio
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
import structlog

from jobhub.domain.errors import OperatorError
from jobhub.services.tokens import CLOCK_SKEW_SECONDS, REQUIRED_CLAIMS, bad_token, check_type, expired_token

ALGORITHMS = {"EdDSA": "OKP", "RS256": "RSA"}  # and the key type each asks for
FETCH_SECONDS = 2.5
MAX_JWKS_BYTES = 256 * 1024
REFETCH_SECONDS = 10.0  # so that made-up key ids don't turn us into a load on the provider
MAX_AGE_SECONDS = 600.0  # a key the provider has withdrawn is good for no longer, while it can be reached
MAX_TOKEN_LENGTH = 16 * 1024

_log = structlog.get_logger("jobhub.provider")


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens are accepted, and how they are signed."""

    jwks_url: str
    issuer: str
    audience: str
    algorithm: str


def provider_options(*, jwks_url: str | None, issuer: str | None, audience: str | None, algorithm: str | None) -> ProviderOptions | None:
    """None if nothing is configured. Raises OperatorError: something is missing or can't be."""
    given = {
        "JOBHUB_JWKS_URL": jwks_url,
        "JOBHUB_JWKS_ISSUER": issuer,
        "JOBHUB_JWKS_AUDIENCE": audience,
        "JOBHUB_JWKS_ALGORITHM": algorithm,
    }
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if not (jwks_url and issuer and audience and algorithm):
        raise OperatorError(f"{', '.join(missing)} must be set too: an identity provider needs all of {', '.join(given)}, or none.")
    if algorithm not in ALGORITHMS:
        raise OperatorError(f"JOBHUB_JWKS_ALGORITHM must be one of {', '.join(ALGORITHMS)}, not {algorithm!r}.")
    if issuer == "jobhub":
        raise OperatorError("JOBHUB_JWKS_ISSUER can't be 'jobhub': that is the issuer of our own tokens.")
    _check_url(jwks_url)
    return ProviderOptions(jwks_url=jwks_url, issuer=issuer, audience=audience, algorithm=algorithm)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        raise OperatorError("JOBHUB_JWKS_URL must be an http or https URL.")


class Provider:
    """The keys of a provider, fetched when a token names one that isn't known, or when they are old."""

    def __init__(self, options: ProviderOptions) -> None:
        self._options = options
        self._keys: dict[str, Any] = {}
        self._fetch: asyncio.Task[None] | None = None
        self._fetched_at = float("-inf")

    def issued(self, token: str) -> bool:
        """Whether a token says it is from this provider; nothing of it has been verified."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            return False
        return claims.get("iss") == self._options.issuer

    async def email_of(self, token: str) -> str | None:
        """The address a token vouches for, None if it has none that is confirmed. Raises Unauthenticated: forged, expired, not for us."""
        try:
            claims = await self._verified(token)
        except jwt.ExpiredSignatureError:
            raise expired_token() from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise bad_token() from None
        email = claims.get("email")
        is_confirmed = claims.get("email_verified") is True
        return email if is_confirmed and isinstance(email, str) and "\0" not in email and email.isprintable() else None

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetch:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])

    async def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise jwt.InvalidTokenError("too long")
        header = jwt.get_unverified_header(token)
        check_type(header)
        if header.get("alg") != self._options.algorithm:
            raise jwt.InvalidAlgorithmError("not as configured")
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise jwt.InvalidTokenError("names no key")
        return jwt.decode(
            token,
            await self._key(kid),
            algorithms=[self._options.algorithm],
            audience=self._options.audience,
            issuer=self._options.issuer,
            leeway=timedelta(seconds=CLOCK_SKEW_SECONDS),
            options={"require": REQUIRED_CLAIMS},
        )

    async def _key(self, kid: str) -> Any:
        is_known = kid in self._keys
        if self._fetch is None and time.monotonic() - self._fetched_at >= (MAX_AGE_SECONDS if is_known else REFETCH_SECONDS):
            self._fetched_at = time.monotonic()
            self._fetch = asyncio.create_task(self._refetch(), name="fetch the provider's keys")
        if self._fetch and not is_known:
            # A request that is given up must not end the fetch others wait for.
            await asyncio.shield(self._fetch)
        if kid not in self._keys:
            raise jwt.InvalidTokenError("names an unknown key")
        return self._keys[kid]

    async def _refetch(self) -> None:
        """New keys in place of all old ones; the old ones go on if there is no good answer."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = read_jwks(await _download(self._options.jwks_url), self._options.algorithm)
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            _log.warning("jwks_fetch_failed", error=type(error).__name__)
        finally:
            self._fetch = None


async def _download(url: str) -> bytes:
    async with (
        httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError("no such document")
        content = b""
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > MAX_JWKS_BYTES:
                raise ValueError("too long")
    return content


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def read_jwks(content: bytes, algorithm: str) -> dict[str, Any]:
    """The keys that can verify signatures of an algorithm, by id; others are left out. Raises ValueError: no key set, or none in it."""
    found: dict[str, Any] = {}
    for given in msgspec.json.decode(content, type=_KeySet).keys:
        kid = given.get("kid")
        is_meant = given.get("use", "sig") == "sig" and given.get("alg", algorithm) == algorithm
        if isinstance(kid, str) and is_meant and given.get("kty") == ALGORITHMS[algorithm]:
            parts = {name: given[name] for name in ("kty", "crv", "x", "n", "e") if isinstance(given.get(name), str)}
            try:
                found[kid] = jwt.PyJWK(parts, algorithm=algorithm)
            except (jwt.PyJWTError, ValueError):
                continue
    if not found:
        raise ValueError("no key of this algorithm")
    return found
