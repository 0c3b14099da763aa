"""`jobhub doctor`: is everything as the program assumes."""

import msgspec

from jobhub import __version__
from jobhub.cli.commands import with_database
from jobhub.cli.state import database_url
from jobhub.contract.figures import QueueStatus
from jobhub.domain.errors import OperatorError
from jobhub.services import insight, readiness
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
        return with_database(database_url(settings), _examine)
    except OperatorError as error:
        return [Finding("database", False, str(error))]


async def _examine(db: Database) -> list[Finding]:
    server = [Finding(one.name, one.ok, one.detail) for one in await readiness.examine_server(db)]
    found, needed = await readiness.schema_revisions(db)
    schema = Finding("schema", found == needed, f"at {found}, this version needs {needed}")
    if found != needed:
        return [Finding("database", True, "answers"), *server, schema]
    status = await insight.queue_status(db)
    faults = await readiness.setup_faults(db)
    setup = [Finding("setup", False, fault) for fault in faults] or [
        Finding("setup", True, "triggers, indexes and autovacuum are as they should be")
    ]
    checks = [Finding(check.name, check.ok, check.detail) for check in status.checks]
    return [*server, schema, *setup, *checks, _versions(status)]


def _versions(status: QueueStatus) -> Finding:
    """Whether all that live are of one version, as they should be but for the minutes of an upgrade."""
    others = sorted({worker.version for worker in status.workers if worker.alive and worker.version != __version__})
    if others:
        return Finding("versions", False, f"this is {__version__}, and there are workers of {', '.join(others)}: restart them")
    return Finding("versions", True, f"all that live are {__version__}")
