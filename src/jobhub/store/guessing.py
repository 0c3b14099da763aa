"""Counters of failed logins, by account, by network and by both: one function per statement of sql/queries/users.sql."""

from jobhub.store.database import Connection


async def count_login(db: Connection, email_sha256: bytes, *, network: str) -> bool:
    """Count a login for an account from a network as failed for now; False: it was not counted, and has to wait."""
    return await db.fetch_row("count_login", email_sha256=email_sha256, network=network) is not None


async def login_delay(db: Connection, email_sha256: bytes, *, network: str) -> int:
    """Seconds until the next login for this account may be tried from this network; 0 is now."""
    row = await db.fetch_row("login_delay", email_sha256=email_sha256, network=network)
    return int(row["seconds"]) if row else 0


async def forget_login_failures(db: Connection, email_sha256: bytes, *, network: str) -> None:
    """Start the count of both anew."""
    await db.execute("forget_login_failures", email_sha256=email_sha256, network=network)


async def count_login_for_account(db: Connection, email_sha256: bytes, *, limit: int) -> bool:
    """Count a login as failed for now; False: it was not counted, and has to wait."""
    return await db.fetch_row("count_login_for_account", email_sha256=email_sha256, limit=limit) is not None


async def account_login_delay(db: Connection, email_sha256: bytes) -> int:
    """Seconds until the hour of this account's failures is over."""
    row = await db.fetch_row("account_login_delay", email_sha256=email_sha256)
    return int(row["seconds"]) if row else 0


async def uncount_login_for_account(db: Connection, email_sha256: bytes) -> None:
    """Take one failure back."""
    await db.execute("uncount_login_for_account", email_sha256=email_sha256)


async def count_login_from_network(db: Connection, network: str, *, limit: int) -> bool:
    """Count a login as failed for now; False: it was not counted, and has to wait."""
    return await db.fetch_row("count_login_from_network", network=network, limit=limit) is not None


async def network_login_delay(db: Connection, network: str) -> int:
    """Seconds until the hour of this network's failures is over."""
    row = await db.fetch_row("network_login_delay", network=network)
    return int(row["seconds"]) if row else 0


async def uncount_login_from_network(db: Connection, network: str) -> None:
    """Take one failure back."""
    await db.execute("uncount_login_from_network", network=network)


async def remove_old_login_failures(db: Connection) -> int:
    """Forget a batch of counters of an account and a network that nobody has added to for a day; how many."""
    row = await db.fetch_row("remove_old_login_failures")
    return int(row["removed"]) if row else 0


async def remove_old_account_failures(db: Connection) -> int:
    """Forget a batch of counters of accounts whose hour is over; how many."""
    row = await db.fetch_row("remove_old_account_failures")
    return int(row["removed"]) if row else 0


async def remove_old_network_failures(db: Connection) -> int:
    """Forget a batch of counters whose hour is over; how many."""
    row = await db.fetch_row("remove_old_network_failures")
    return int(row["removed"]) if row else 0
