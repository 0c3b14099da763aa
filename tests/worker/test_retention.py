"""A worker applies the policy it was given, and says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from structlog.testing import capture_logs

from jobhub.domain.users import User
from jobhub.services.reindexing import Reindexed
from jobhub.worker import loops
from tests import factories
from tests.worker.processes import wait_for, worker_process


def test_a_worker_removes_what_its_policy_names(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(days=2)
    old = {
        name: factories.make_job(sql, alice, status=name, created_at=at, completed_at=at) for name in ("completed", "cancelled", "failed")
    }

    with worker_process(dsn, tmp_path, JOBHUB_RETENTION="completed=1d, typo:cancelled=1h") as worker:
        wait_for(lambda: "retention_applied" in worker.log)

    assert {row.id for row in sql.execute("SELECT id FROM jobs").fetchall()} == {old["cancelled"], old["failed"]}
    assert "retention_of_unknown_types" in worker.log
    [applied] = [line for line in worker.log.splitlines() if "retention_applied" in line]
    assert '"jobs": 1' in applied


def test_a_worker_without_a_policy_removes_nothing(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(days=2000)
    job_id = factories.make_job(sql, alice, status="completed", created_at=at, completed_at=at)

    with worker_process(dsn, tmp_path) as worker:
        wait_for(lambda: "worker_started" in worker.log)
        other = factories.make_job(sql, alice, job_type="work.unknown")
        wait_for(lambda: factories.job_row(sql, other).deliver_at)

    assert factories.job_row(sql, job_id)
    assert sql.execute("SELECT FROM upkeep").fetchall() == []


def test_a_worker_with_a_policy_that_makes_no_sense_does_not_start(dsn: str, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path, JOBHUB_RETENTION="completed=soon") as worker:
        assert worker.wait() == 1

    assert "JOBHUB_RETENTION must be rules such as" in worker.log


async def test_a_worker_says_which_indexes_it_made_anew_and_which_not(monkeypatch) -> None:
    async def reindex_daily(_db, *, hour):
        return Reindexed(done=["jobs_pkey"], given_up=["jobs_newest_idx"]) if hour == 3 else None

    monkeypatch.setattr(loops, "reindex_daily", reindex_daily)

    with capture_logs() as logs:
        await loops._reindex(None, 3)
        await loops._reindex(None, 4)

    assert [(line["event"], line["indexes"]) for line in logs] == [
        ("indexes_made_anew", ["jobs_pkey"]),
        ("indexes_not_made_anew", ["jobs_newest_idx"]),
    ]
