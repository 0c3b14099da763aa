"""Reading the audit log: one function per statement of sql/queries/audit.sql. Not here: writing it, which each act does itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from jobhub.store.database import Connection


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One act. Names are as they are now; a job's title is null once it was cleaned up, an actor's e-mail for jobhub itself."""

    id: int
    at: datetime
    verb: str
    actor_email: str | None
    job_id: UUID | None
    job_title: str | None
    user_email: str | None
    reason: str | None
    request_id: str | None
    details: dict[str, Any]


async def list_audit_log(db: Connection, *, before_id: int | None, limit: int) -> list[AuditEntry]:
    """The newest entries first, of those older than `before_id` if that is given."""
    rows = await db.fetch("list_audit_log", before_id=before_id, limit=limit)
    return [msgspec.convert(dict(row), AuditEntry) for row in rows]
