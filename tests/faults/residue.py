"""What must not be left once everything has healed and all jobs have ended: the evidence of invariant I11."""

import time
from pathlib import Path

from jobhub.store.reporting import list_reports
from tests.acceptance.service import children_of
from tests.faults.topology import ROLE, Topology

PATIENCE_SECONDS = 12.0
# Each process may have as many connections as docs/architecture.md says: a pool, one to listen, one for the lease; one more may be closing.
API_CONNECTIONS, WORKER_CONNECTIONS, GRACE_CONNECTIONS = 10, 7, 2

STRAYS = """
SELECT 'delivery ' || delivery.id || ' belongs to no pending job' FROM procrastinate_jobs AS delivery
WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.delivery_id = delivery.id)
UNION ALL
SELECT 'job ' || jobs.id || ' is pending, but its delivery is gone' FROM jobs
WHERE jobs.delivery_id IS NOT NULL AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE procrastinate_jobs.id = jobs.delivery_id)
UNION ALL
SELECT 'job ' || jobs.id || ' is running, but its worker has no lease' FROM jobs
WHERE jobs.status = 'running'
    AND NOT EXISTS (SELECT FROM workers WHERE workers.id = jobs.worker_id AND workers.lease_until > now())
UNION ALL
SELECT 'job ' || jobs.id || ' has been due for long and nobody promotes it' FROM jobs WHERE jobs.deliver_at < now() - interval '5 s'
UNION ALL
SELECT 'connection ' || pid || ' of ' || application_name || ' is idle in a transaction' FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%%' AND state_change < now() - interval '5 s' AND usename = %s
"""


def find_residue(house: Topology) -> list[str]:
    """In words, whatever is still there after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := _look(house)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _look(house: Topology) -> list[str]:
    return [*_strays(house), *_connections(house), *_processes(house), *miscounted(house)]


def _strays(house: Topology) -> list[str]:
    return [str(row[0]) for row in house.postgres.execute(STRAYS, [ROLE])]


def miscounted(house: Topology) -> list[str]:
    """Statistics that differ from the tables, in whatever order transactions were broken off."""
    compare = list_reports()["rollup_drift"].statement.sql.replace("$1", "'-infinity'")
    return [
        f"{what} of {job_type} in the {resolution} of {at}: {counted} counted, {there} there"
        for resolution, at, job_type, what, counted, there in house.postgres.execute(compare)
    ]


def _connections(house: Topology) -> list[str]:
    rows = house.postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [ROLE])
    count = int(str(rows[0][0]))
    allowed = len(house.apis) * API_CONNECTIONS + len(house.workers) * WORKER_CONNECTIONS + GRACE_CONNECTIONS
    return [f"{count} connections, {allowed} are allowed"] if count > allowed else []


def _processes(house: Topology) -> list[str]:
    """Processes of handlers that nobody runs: once all jobs have ended, workers have no children, and nobody else runs handlers."""
    lost = [f"worker {worker.name} has the child {pid}" for worker in house.workers if worker.is_alive() for pid in children_of(worker.pid)]
    return lost + [f"process {pid} of a handler has no worker" for pid in _handler_processes(house)]


def _handler_processes(house: Topology) -> list[int]:
    """Those of this house: they have its ledger in their environment."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (directory / "cmdline").read_bytes(), (directory / "environ").read_bytes()
        except OSError:
            continue
        if str(house.ledger).encode() in environ and (b"jobhub.worker.child" in command or b"faults.forking" in command):
            found.append(int(directory.name))
    return found
