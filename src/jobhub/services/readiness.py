"""Whether the database is there and has the schema this version of the program was written for."""

from datetime import UTC, datetime

import msgspec

from jobhub.postgres.files import newest_revision
from jobhub.store import health as store
from jobhub.store.database import Database


async def schema_revisions(db: Database) -> tuple[str, str]:
    """The revision the database is at ("none" before the first migration), and the one this program needs."""
    return await store.schema_revision(db) or "none", newest_revision()


async def setup_faults(db: Database) -> list[str]:
    """What somebody changed in the database that dispatch counts on, a sentence each that says what to do."""
    return await store.list_setup_faults(db)


OLDEST_SERVER = 15  # what the migrations and statements are written and tested for
MAX_SKEW_SECONDS = 2.0  # a token's times may be 5 s off


class ServerFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about the server: whether it is right, and if not what to do."""

    name: str
    ok: bool
    detail: str


async def examine_server(db: Database) -> list[ServerFinding]:
    """Version, role and clock of the server, the latter compared with this machine's."""
    before = datetime.now(UTC)
    facts = await store.server_facts(db)
    after = datetime.now(UTC)
    return [_version_finding(facts), _clock_finding(facts.now, before, after)]


def _version_finding(facts: store.ServerFacts) -> ServerFinding:
    major, minor = divmod(facts.version_number, 10_000)
    if facts.is_replica:
        return ServerFinding(name="server", ok=False, detail="a replica, which takes no writes: give the address of the primary")
    if major < OLDEST_SERVER:
        return ServerFinding(name="server", ok=False, detail=f"PostgreSQL {major}.{minor}: upgrade it to {OLDEST_SERVER} or newer")
    return ServerFinding(name="server", ok=True, detail=f"PostgreSQL {major}.{minor}")


def _clock_finding(there: datetime, before: datetime, after: datetime) -> ServerFinding:
    """The server looked at its clock between `before` and `after`: only what lies outside is known to be wrong."""
    skew = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if skew > MAX_SKEW_SECONDS:
        detail = f"this machine and the database are {skew:.1f} s apart: set both by NTP, or tokens are refused and times are wrong"
        return ServerFinding(name="clock", ok=False, detail=detail)
    return ServerFinding(name="clock", ok=True, detail="this machine and the database agree")
