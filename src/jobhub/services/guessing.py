"""Slowing down who guesses passwords: who may have one looked at now, by account and by where they come from.

The wait that grows is for an account from one network: whoever guesses elsewhere doesn't make its owner wait. Beyond that an account has a
limit for all networks together, and a network one for all accounts.

Each login is counted as failed before its password is looked at, and the count is taken back when it was right. Counted afterwards, as
many guesses would be looked at as are sent at once.
"""

import hashlib
import ipaddress

import msgspec

from jobhub.domain.errors import TooManyAttempts
from jobhub.store import guessing as store
from jobhub.store.database import Database

# Within an hour, from all networks together: a dozen of them have to guess as fast as each may to reach it. More would be no danger to a
# password of twelve characters either, but the owner of a weaker one should be safe from a botnet.
FAILURES_PER_ACCOUNT = 100
_IPV6_PREFIX = 64  # what one subscriber is given at least
_NO_NETWORK = "0.0.0.0/0"  # all clients without an address are taken for one


class Guess(msgspec.Struct, frozen=True):
    """Whose password is tried, and from where; None where nobody counts that."""

    email_sha256: bytes
    network: str | None


def guess(email: str, client: str | None) -> Guess:
    """What is counted of a login; `client` is the other end of the connection."""
    return Guess(hashlib.sha256(email.casefold().encode()).digest(), _network(client) if client else None)


def _network(client: str) -> str | None:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return None  # a Unix socket has no address
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return str(ipaddress.ip_network((address, _IPV6_PREFIX if address.version == 6 else 32), strict=False))


async def count_in(db: Database, this: Guess, *, per_network: int) -> None:
    """Count a login as failed, by all counters or by none, in the one order that keeps two of them from waiting for each other.

    `per_network` 0 is no limit. Raises TooManyAttempts: it has to wait, and was not counted.
    """
    network = this.network or _NO_NETWORK
    async with db.transaction() as session:
        if per_network and this.network and not await store.count_login_from_network(session, network, limit=per_network):
            raise TooManyAttempts(max(1, await store.network_login_delay(session, network)), what="from this address")
        if not await store.count_login(session, this.email_sha256, network=network):
            raise TooManyAttempts(max(1, await store.login_delay(session, this.email_sha256, network=network)), what="for this account")
        if not await store.count_login_for_account(session, this.email_sha256, limit=FAILURES_PER_ACCOUNT):
            raise TooManyAttempts(max(1, await store.account_login_delay(session, this.email_sha256)), what="for this account")


async def count_out(db: Database, this: Guess, *, per_network: int) -> None:
    """Take back what was counted: the password was right."""
    await store.forget_login_failures(db, this.email_sha256, network=this.network or _NO_NETWORK)
    await store.uncount_login_for_account(db, this.email_sha256)
    if per_network and this.network:
        await store.uncount_login_from_network(db, this.network)
