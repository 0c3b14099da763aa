"""Jobs as users and administrators change them: what HTTP does not show."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobhub.store import jobs as store
from jobhub.store.jobs import Act, NewJob
from tests import factories
from tests.factories import job_row, make_job

ACT = Act(actor_id=None)


def new_job(owner, **fields):
    given = {"job_type": "test.echo", "queue": "default", "title": "x", "description": None, "parameters": {}, "tags": [], "priority": 0}
    return NewJob(**{"id": factories.new_id(), "owner_id": owner.id, "max_attempts": 1, "scheduled_for": None} | given | fields)


@pytest.mark.parametrize("seconds", [None, -3600])
async def test_a_job_for_now_has_its_delivery_with_its_priority_and_nothing_but_its_id(db, sql, alice, seconds):
    scheduled_for = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None

    job = await store.submit_job(db, new_job(alice, priority=7, parameters={"secret": 1}, scheduled_for=scheduled_for), None)

    [delivery] = sql.execute("SELECT * FROM procrastinate_jobs").fetchall()
    assert (delivery.id, delivery.priority, delivery.args) == (job_row(sql, job.id).delivery_id, 7, {"job_id": str(job.id)})
    assert job.due_at >= job.created_at
    assert job.scheduled_for == scheduled_for


async def test_a_job_for_later_has_no_delivery_yet(db, sql, alice):
    later = datetime.now(UTC) + timedelta(hours=1)

    job = await store.submit_job(db, new_job(alice, scheduled_for=later), None)

    assert sql.execute("SELECT FROM procrastinate_jobs").fetchall() == []
    assert job_row(sql, job.id).deliver_at == later == job.due_at


async def test_a_failing_submit_leaves_neither_job_nor_delivery(db, sql, alice):
    with pytest.raises(Exception, match="job_title_check"):
        await store.submit_job(db, new_job(alice, title=""), None)

    assert sql.execute("SELECT id FROM jobs").fetchall() == sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == []


@pytest.mark.parametrize("verb", ["cancel", "force_complete"])
async def test_the_worker_of_a_running_job_is_told_to_stop(db, sql, dsn, alice, verb):
    job_id = make_job(sql, alice, status="running")
    with psycopg.connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN jobhub_stop")

        if verb == "cancel":
            await store.cancel_job(db, job_id, owner_id=None, act=ACT)
        else:
            await store.force_complete_job(db, job_id, result=None, act=ACT)

        [notification] = listener.notifies(timeout=5, stop_after=1)
    assert notification.payload == str(job_row(sql, job_id).worker_id)


async def test_of_others_jobs_nothing_is_seen_or_changed(db, sql, alice, bob):
    job_id = make_job(sql, alice, status="failed")
    before = job_row(sql, job_id)

    found = [
        await store.get_job(db, job_id, owner_id=bob.id),
        await store.cancel_job(db, make_job(sql, alice), owner_id=bob.id, act=ACT),
        await store.retry_job(db, job_id, owner_id=bob.id, act=ACT),
    ]

    assert found == [None] * 3
    assert job_row(sql, job_id) == before


async def test_a_position_is_counted_up_to_a_thousand(db, sql, alice):
    sql.execute(
        "SELECT count(deliver_job(gen_random_uuid(), 'test.echo', 'default', n %% 2)) FROM generate_series(1, 2000) AS n".replace("%%", "%")
    )
    last, first = make_job(sql, alice), make_job(sql, alice, priority=100)

    places = await store.queue_places(db, [last, first])

    assert {job_id: place.position for job_id, place in places.items()} == {last: 1000, first: 1}


async def test_jsonb_travels_as_decoded_json_in_both_directions(db, sql, alice):
    parameters = {"a": [1, 2.5, None, True, {"ü": '\\ " 😀'}], "": {}}

    job = await store.submit_job(db, new_job(alice, parameters=parameters), None)

    assert job.parameters == parameters
    assert json.loads(sql.execute("SELECT parameters::text AS text FROM jobs").fetchone().text) == parameters
