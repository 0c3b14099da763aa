"""What the doctor finds, and what it says to do about it."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.services import checkup
from jobhub.services.checkup import Finding, examine
from jobhub.services.insight import Thresholds
from jobhub.store.health import ServerClock, list_vacuum_faults
from tests import factories


async def finding(db, dsn, name: str) -> Finding:
    return {found.name: found for found in await examine(db, dsn=dsn, healthy=Thresholds())}[name]


async def test_all_is_well_with_a_worker(db, dsn, sql):
    sql.execute("UPDATE workers SET version = %s WHERE id = %s", [checkup.__version__, factories.make_worker(sql)])

    findings = await examine(db, dsn=dsn, healthy=Thresholds())

    assert [found for found in findings if not found.ok or found.advice] == []
    assert {found.name for found in findings} >= {"postgresql", "clock", "schema", "setup", "vacuum", "worker_versions", "drift"}


@pytest.mark.parametrize(
    ("version", "is_replica", "ahead", "name"),
    [
        (150000, False, 0, None),
        (149999, False, 0, "postgresql"),
        (180006, True, 0, "postgresql"),
        (180006, False, 4, None),
        (180006, False, 6, "clock"),
        (180006, False, -6, "clock"),
    ],
)
async def test_an_old_server_and_a_clock_that_is_wrong(db, dsn, monkeypatch, version, is_replica, ahead, name):
    async def server_clock(_):
        return ServerClock(version="x", version_number=version, is_replica=is_replica, now=datetime.now(UTC) + timedelta(seconds=ahead))

    monkeypatch.setattr(checkup.store, "server_clock", server_clock)

    assert [
        found.name for found in await examine(db, dsn=dsn, healthy=Thresholds()) if not found.ok and found.name in ("postgresql", "clock")
    ] == [name] * bool(name)


async def test_a_trigger_somebody_enabled_is_told_with_the_remedy(db, dsn, sql):
    sql.execute("ALTER TABLE procrastinate_jobs ENABLE TRIGGER procrastinate_trigger_delete_jobs_v1")

    found = await finding(db, dsn, "setup")

    assert not found.ok
    assert found.advice.startswith("ALTER TABLE procrastinate_jobs DISABLE TRIGGER")


async def test_workers_of_another_version(db, dsn, sql):
    factories.make_worker(sql)
    sql.execute("UPDATE workers SET version = '0.0.1'")

    found = await finding(db, dsn, "worker_versions")

    assert (found.ok, found.detail) == (False, "live workers: 1 of 0.0.1")


async def test_a_job_whose_delivery_is_gone_is_drift(db, dsn, sql, alice):
    factories.make_job(sql, alice)
    sql.execute("DELETE FROM procrastinate_jobs")
    sql.execute("UPDATE jobs SET updated_at = now() - interval '1 hour'")

    found = await finding(db, dsn, "drift")

    assert (found.ok, found.detail) == (False, "1 jobs of 7 days contradict what must always hold")


async def test_drift_of_long_ago_is_left_to_the_report(db, dsn, sql, alice):
    factories.make_job(sql, alice, created_at=datetime.now(UTC) - timedelta(days=8))
    sql.execute("DELETE FROM procrastinate_jobs")
    sql.execute("UPDATE jobs SET updated_at = now() - interval '1 hour'")

    found = await finding(db, dsn, "drift")

    assert (found.ok, found.detail) == (True, "no jobs of 7 days contradict what must always hold")


async def test_a_history_too_long_to_look_through_is_not_called_well(db, dsn, sql, monkeypatch):
    monkeypatch.setattr(checkup, "DRIFT_SECONDS", 0.5)
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE job_attempts IN ACCESS EXCLUSIVE MODE")

        found = await finding(db, dsn, "drift")

    assert found.detail.startswith("not looked through in 0.5 s: run the report state_drift")


async def test_a_transaction_left_open_is_told_with_its_process(db, dsn, sql):
    with psycopg.connect(dsn, application_name="forgotten") as other:
        other.execute("SELECT 1")

        faults = await list_vacuum_faults(db, open_seconds=0, dead_rows=10)

        assert [f"process {other.info.backend_pid}, forgotten" in fault for fault in faults] == [True]
        assert f"pg_terminate_backend({other.info.backend_pid})" in faults[0]
    assert await list_vacuum_faults(db, open_seconds=0, dead_rows=10) == []


async def test_dead_rows_beyond_the_live_ones_are_told(db, sql, alice):
    sql.execute("ALTER TABLE jobs SET (autovacuum_enabled = off)")
    job_id = factories.make_job(sql, alice)
    for _ in range(30):
        sql.execute("UPDATE jobs SET priority = priority + 1 WHERE id = %s", [job_id])
    sql.execute("DELETE FROM jobs")
    sql.execute("SELECT pg_stat_force_next_flush()")

    async with asyncio.timeout(15):
        while not (faults := await list_vacuum_faults(db, open_seconds=3600, dead_rows=0)):
            await asyncio.sleep(0.1)

    assert faults[0].startswith("jobs has ")
    assert "run VACUUM jobs" in faults[0]


async def test_an_index_that_a_clean_up_left_nearly_empty_is_told(db, dsn, sql, alice, monkeypatch):
    factories.leave_indexes_nearly_empty(sql, alice)
    monkeypatch.setattr(checkup, "INDEX_BYTES", 2**16)

    found = await finding(db, dsn, "vacuum")

    assert not found.ok
    assert " MiB for 50 rows" in found.detail
    assert "REINDEX INDEX CONCURRENTLY jobs_" in found.advice


async def test_an_index_that_was_left_unfinished_is_told(db, dsn, sql):
    sql.execute("CREATE INDEX jobs_pkey_ccnew ON jobs (id)")
    sql.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_pkey_ccnew'::regclass")

    found = await finding(db, dsn, "vacuum")

    assert (found.ok, found.advice) == (False, "if none is at it, DROP INDEX CONCURRENTLY jobs_pkey_ccnew")
