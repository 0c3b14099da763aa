"""Notifications that nobody hears, and hands in the tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.acceptance.service import wait_for
from tests.faults.scene import Scene
from tests.faults.topology import Topology

FUNCTION = "deliver_jobs"


@pytest.mark.faults_long
def test_f41_without_notifications_jobs_start_by_the_poll(house: Topology, scene: Scene) -> None:
    client = scene.client()
    delays = []
    with no_notifications(scene):
        for number in range(10):
            job_id = client.submit_surely("faults.quick", f"unheard-{number}")
            scene.wait_for_status(job_id, "completed")
            delays.append(_waiting_seconds(scene, job_id))

    scene.settle("F-41", "no notification at all", note=f"jobs started after at most {max(delays):.1f} s")


@contextmanager
def no_notifications(scene: Scene) -> Iterator[None]:
    """Deliveries are made, and nobody is told."""
    definition = str(scene.sql("SELECT pg_get_functiondef(%s::regproc)", [FUNCTION])[0][0])
    assert "pg_notify(" in definition
    scene.sql(definition.replace("pg_notify(", "concat("))
    try:
        yield
    finally:
        scene.sql(definition)


def _waiting_seconds(scene: Scene, job_id: UUID) -> float:
    rows = scene.sql("SELECT extract(epoch FROM started_at - due_at)::float8 FROM job_attempts WHERE job_id = %s", [job_id])
    return float(rows[0][0])


@pytest.mark.faults_long
def test_f47_strange_deliveries_do_nothing_and_a_removed_one_is_made_again(house: Topology, scene: Scene) -> None:
    client = scene.client()
    ran = client.submit_surely("faults.quick", "ran")
    scene.wait_for_status(ran, "completed")
    for job_id in (ran, "00000000-0000-7000-8000-000000000000"):
        scene.sql("SELECT deliver_job(%s, 'faults.quick', 'default', 0)", [job_id])
    wait_for(lambda: scene.sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)], seconds=20)
    removed = client.submit("faults.quick", "later", scheduled_for=(datetime.now(UTC) + timedelta(hours=1)).isoformat()).job_id
    assert removed
    scene.sql("UPDATE jobs SET deliver_at = NULL, delivery_id = -1 WHERE id = %s", [removed])
    removed_at = time.monotonic()
    scene.wait_for_status(removed, "completed", seconds=150)

    assert scene.outcomes(ran) == ["completed"]
    scene.settle("F-47", "deliveries of no job and of a finished one; one removed by hand", recovery_seconds=time.monotonic() - removed_at)
