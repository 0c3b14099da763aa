"""A look at everything jobhub counts on, for somebody at a terminal who wants to know what to do next.

Not here: the checks an administrator's request may wait for (`services.insight`).
"""

from datetime import UTC, datetime, timedelta

import msgspec

from jobhub import __version__
from jobhub.services import insight, readiness
from jobhub.services.insight import Thresholds
from jobhub.services.reindexing import INDEX_BYTES
from jobhub.store import health as store
from jobhub.store import indexes
from jobhub.store.database import Database
from jobhub.store.health import ServerClock
from jobhub.store.reporting import ReportFailed, count_report

OLDEST_POSTGRESQL = 150000
MAX_CLOCK_SECONDS = 5.0  # the skew that tokens allow
DRIFT_DAYS = 7  # the report takes as long as there are jobs in it
DRIFT_SECONDS = 10.0
OPEN_SECONDS = 3600.0  # a report may take its time
DEAD_ROWS = 100_000  # of a small table that many are nothing
_ADVICE = {
    "oldest_due_job": "start workers or raise JOBHUB_CONCURRENCY; see that some worker takes the queue and knows the job type",
    "live_workers": "start one with `jobhub worker`; if some run, their log says why they can't reach the database",
    "promotion_lag": "look for loop_failed in the workers' logs, and for locks in pg_stat_activity",
    "rescue_lag": "look for loop_failed in the workers' logs, and for locks in pg_stat_activity",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `advice` where something is to be done."""

    name: str
    ok: bool
    detail: str
    advice: str | None = None


async def examine(db: Database, *, dsn: str, healthy: Thresholds) -> list[Finding]:
    """Everything that was looked at; what depends on a thing that is wrong is left out.

    Raises:
        DatabaseUnavailable
    """
    server = await _server(db)
    found, needed = await readiness.schema_revisions(db)
    if found != needed:
        advice = "run `jobhub migrate`" if found == "none" or found < needed else "install the version of jobhub that made it"
        return [*server, Finding("schema", False, f"at {found}, this version needs {needed}", advice)]
    schema = Finding("schema", True, f"at {found}, as this version needs it")
    status = await insight.queue_status(db, healthy)
    checks = [Finding(check.name, check.ok, check.detail, None if check.ok else _ADVICE.get(check.name)) for check in status.checks]
    return [*server, schema, *await _setup(db), *checks, await _versions(db), await _drift(dsn)]


async def _server(db: Database) -> list[Finding]:
    before = datetime.now(UTC)
    server = await store.server_clock(db)
    after = datetime.now(UTC)
    apart = max((before - server.now).total_seconds(), (server.now - after).total_seconds(), 0.0)
    return [
        _postgresql(server),
        Finding(
            "clock",
            apart <= MAX_CLOCK_SECONDS,
            f"this machine's and the database's are {apart:.1f} s apart",
            None if apart <= MAX_CLOCK_SECONDS else "let both follow the same NTP servers: tokens go by the one, jobs by the other",
        ),
    ]


def _postgresql(server: ServerClock) -> Finding:
    if server.is_replica:
        return Finding("postgresql", False, "a replica, which takes no writes", "give the address of the primary")
    is_new = server.version_number >= OLDEST_POSTGRESQL
    return Finding("postgresql", is_new, f"version {server.version}", None if is_new else "jobhub needs version 15 or newer")


async def _setup(db: Database) -> list[Finding]:
    setup = [Finding("setup", False, *_split(fault)) for fault in await readiness.setup_faults(db)]
    vacuum = [
        Finding("vacuum", False, *_split(fault))
        for fault in await store.list_vacuum_faults(db, open_seconds=OPEN_SECONDS, dead_rows=DEAD_ROWS)
    ]
    vacuum += await _indexes(db)
    return [
        *(setup or [Finding("setup", True, "triggers, indexes and autovacuum are as they should be")]),
        *(vacuum or [Finding("vacuum", True, "nothing keeps PostgreSQL from tidying up")]),
    ]


async def _indexes(db: Database) -> list[Finding]:
    """A worker makes such indexes anew at night, unless it may not, is told not to, or there is none at that hour."""
    bloated = [
        Finding(
            "vacuum",
            False,
            f"{one.name} takes {one.bytes / 2**20:,.0f} MiB for {one.rows:,} rows, since clean-ups left a few on each of its pages",
            f"a worker makes it anew in the hour JOBHUB_REINDEX_HOUR; or do so now: REINDEX INDEX CONCURRENTLY {one.name}"
            if one.is_ours
            else f"let the owner of the table run REINDEX INDEX CONCURRENTLY {one.name}",
        )
        for one in await indexes.list_bloated_indexes(db, index_bytes=INDEX_BYTES)
    ]
    unfinished = [
        Finding(
            "vacuum",
            False,
            f"{one.name} is what a REINDEX left that did not finish, or one that is at it now: each write goes to it, and nothing reads it",
            f"if none is at it, DROP INDEX CONCURRENTLY {one.name}",
        )
        for one in await indexes.list_unfinished_indexes(db)
    ]
    return [*bloated, *unfinished]


def _split(fault: str) -> tuple[str, str | None]:
    """What is wrong, and what to do about it."""
    detail, _, advice = fault.partition(": ")
    return detail, advice or None


async def _versions(db: Database) -> Finding:
    versions = await store.list_worker_versions(db)
    words = ", ".join(f"{count} of {version}" for version, count in versions.items()) or "none"
    is_one = set(versions) <= {__version__}
    advice = None if is_one else f"this is {__version__}: bring all workers to one version once an upgrade is over"
    return Finding("worker_versions", is_one, f"live workers: {words}", advice)


async def _drift(dsn: str) -> Finding:
    """Young jobs that contradict their deliveries, claims or attempts. So many may not be looked through in the time there is."""
    since = datetime.now(UTC) - timedelta(days=DRIFT_DAYS)
    try:
        drifted = await count_report(dsn, "state_drift", {"since": since.isoformat()}, timeout_seconds=DRIFT_SECONDS)
    except ReportFailed as error:
        return Finding("drift", True, f"not looked through in {DRIFT_SECONDS:g} s: run the report state_drift ({error})")
    detail = f"{drifted or 'no'} jobs of {DRIFT_DAYS} days contradict what must always hold"
    advice = "run the report state_drift, which names them, and report what you find as a bug" if drifted else None
    return Finding("drift", not drifted, detail, advice)
