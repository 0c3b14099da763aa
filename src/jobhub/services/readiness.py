"""Whether the database is there and has the schema this version of the program was written for."""

from jobhub.postgres.files import newest_revision
from jobhub.store import health as store
from jobhub.store.database import Database


async def schema_revisions(db: Database) -> tuple[str, str]:
    """The revision the database is at ("none" before the first migration), and the one this program needs."""
    return await store.schema_revision(db) or "none", newest_revision()


async def setup_faults(db: Database) -> list[str]:
    """What somebody changed in the database that dispatch counts on, a sentence each that says what to do."""
    return await store.list_setup_faults(db)
