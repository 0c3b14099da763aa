"""What a delivery may hold: nothing that brings one of Procrastinate's own mechanisms into play (docs/weaknesses.md)."""

from datetime import UTC, datetime, timedelta

from jobhub.store import dispatch
from tests import factories


async def test_a_delivery_says_which_job_and_whose_and_nothing_else(api, sql, alice):
    job = await api.submit(alice, parameters={"value": "secret"})

    [row] = sql.execute("SELECT * FROM procrastinate_jobs").fetchall()
    assert (row.args, row.owner_id) == ({"job_id": job["id"]}, alice.id)
    assert (row.lock, row.queueing_lock, row.scheduled_at, row.worker_id) == (None, None, None, None)
    assert (row.status, row.attempts, row.abort_requested) == ("todo", 0, False)


async def test_a_job_for_later_has_no_delivery(api, sql, alice):
    await api.submit(alice, scheduled_for=(datetime.now(UTC) + timedelta(days=1)).isoformat())

    assert sql.execute("SELECT FROM procrastinate_jobs").rowcount == 0


async def test_a_claim_leaves_no_row_in_any_table_of_procrastinate(db, api, sql, alice):
    await api.submit(alice)
    await dispatch.claim_jobs(db, worker_id=factories.make_worker(sql), queues=["default"], known_types=["test.echo"], slots=1)

    tables = [row.tablename for row in sql.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'procrastinate%'")]
    assert tables
    assert {table: sql.execute(f"SELECT count(*) AS n FROM {table}").fetchone().n for table in tables} == dict.fromkeys(tables, 0)
