"""Reading what people did: for administrators, newest first, a page at a time."""

from jobhub.store import audit as store
from jobhub.store.audit import AuditEntry
from jobhub.store.database import Database

PER_PAGE = 50


async def list_audit_log(db: Database, *, before_id: int | None) -> tuple[list[AuditEntry], int | None]:
    """A page of entries, and what to ask for the next one, if there is one."""
    found = await store.list_audit_log(db, before_id=before_id, limit=PER_PAGE + 1)
    shown = found[:PER_PAGE]
    return shown, shown[-1].id if len(found) > len(shown) else None
