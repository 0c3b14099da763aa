"""Whether the database is there and has the schema this version of the program was written for."""

from jobhub.postgres.files import newest_revision
from jobhub.store import health as store
from jobhub.store.database import Database


async def schema_revisions(db: Database) -> tuple[str, str]:
    """The revision the database is at ("none" before the first migration), and the one this program needs."""
    return await store.schema_revision(db) or "none", newest_revision()
