"""`jobhub doctor`: is everything as the program assumes."""

from functools import partial

import msgspec

from jobhub.cli.commands import thresholds, with_database
from jobhub.cli.state import database_url
from jobhub.domain.errors import OperatorError
from jobhub.services import insight, readiness
from jobhub.services.insight import Thresholds
from jobhub.settings import Settings
from jobhub.store.database import Database


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def run_doctor(settings: Settings) -> list[Finding]:
    """Everything that was looked at; what depends on a thing that is wrong is left out."""
    try:
        return with_database(database_url(settings), partial(_examine, healthy=thresholds(settings)))
    except OperatorError as error:
        return [Finding("database", False, str(error))]


async def _examine(db: Database, *, healthy: Thresholds) -> list[Finding]:
    found, needed = await readiness.schema_revisions(db)
    schema = Finding("schema", found == needed, f"at {found}, this version needs {needed}")
    if found != needed:
        return [Finding("database", True, "answers"), schema]
    status = await insight.queue_status(db, healthy)
    faults = await readiness.setup_faults(db)
    setup = [Finding("setup", False, fault) for fault in faults] or [
        Finding("setup", True, "triggers, indexes and autovacuum are as they should be")
    ]
    return [schema, *setup, *(Finding(check.name, check.ok, check.detail) for check in status.checks)]
