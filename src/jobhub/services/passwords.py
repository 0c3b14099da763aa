"""Hashing and checking passwords with argon2id, a few at a time.

Each takes 64 MiB and some 100 ms of a core, so they run in threads of their own, and no more at once than the machine bears.
Source: OWASP password storage cheat sheet; RFC 9106, second recommended option. Not here: whose password it is.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import argon2

MIN_BYTES, MAX_BYTES = 12, 1024
AT_ONCE = 2


class Passwords:
    """A hasher with its own threads; `close` ends them."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1, type=argon2.Type.ID)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._decoy: str | None = None

    def close(self) -> None:
        self._threads.shutdown(wait=True)

    async def hash(self, password: str) -> str:
        """The argon2id hash, with its parameters."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is right. Without a hash to compare with it takes as long, and it isn't."""
        if password_hash is None:
            self._decoy = self._decoy or await self.hash("not anybody's password")
        check = partial(self._matches, password, password_hash or self._decoy or "")
        return await asyncio.get_running_loop().run_in_executor(self._threads, check) and password_hash is not None

    def _matches(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerificationError:
            return False

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def password_problem(password: str) -> str | None:
    """Why a password can't be taken, or None."""
    return None if MIN_BYTES <= len(password.encode()) <= MAX_BYTES else f"must have {MIN_BYTES} to {MAX_BYTES} bytes"
