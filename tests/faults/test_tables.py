"""Notifications that nobody hears, and hands in the tables."""

from datetime import UTC, datetime, timedelta

import pytest

from jobhub.postgres.files import sql_directory
from tests.acceptance.service import wait_for
from tests.faults.scene import Scene
from tests.faults.topology import Topology

TRIGGER = "procrastinate_jobs_notify_queue_job_inserted_v1"


@pytest.mark.faults_long
def test_f41_without_notifications_jobs_start_by_the_poll(house: Topology, scene: Scene) -> None:
    client = scene.client()
    scene.sql(f"ALTER TABLE procrastinate_jobs DISABLE TRIGGER {TRIGGER}")
    try:
        delays = []
        for number in range(10):
            job_id = client.submit_surely("faults.quick", f"unheard-{number}")
            scene.wait_for_status(job_id, "completed")
            delays += [
                row[0]
                for row in scene.sql("SELECT extract(epoch FROM started_at - due_at)::float8 FROM job_attempts WHERE job_id = %s", [job_id])
            ]
    finally:
        scene.sql(f"ALTER TABLE procrastinate_jobs ENABLE TRIGGER {TRIGGER}")

    scene.settle("F-41", "no notification at all", note=f"jobs started after at most {max(delays):.1f} s")


@pytest.mark.faults_long
def test_f47_strange_deliveries_do_nothing_and_a_removed_one_is_reported(house: Topology, scene: Scene) -> None:
    client = scene.client()
    ran = client.submit_surely("faults.quick", "ran")
    scene.wait_for_status(ran, "completed")
    for job_id in (ran, "00000000-0000-7000-8000-000000000000"):
        scene.sql("SELECT deliver_job(%s, 'default', 0)", [job_id])
    wait_for(lambda: scene.sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)], seconds=20)
    later = client.submit("faults.quick", "later", scheduled_for=(datetime.now(UTC) + timedelta(hours=1)).isoformat()).job_id
    assert later
    scene.sql(
        "WITH gone AS (SELECT deliver_job(id, queue, 0) AS delivery_id FROM jobs WHERE id = %s)"
        " UPDATE jobs SET deliver_at = NULL, delivery_id = -1, updated_at = now() - interval '1 hour' FROM gone WHERE id = %s",
        [later, later],
    )

    report = (sql_directory() / "reports" / "state_drift.sql").read_text().replace(":grace_seconds", "60").replace("%", "%%")
    drift = scene.sql(report)

    assert scene.outcomes(ran) == ["completed"]
    assert [(row[0], row[1]) for row in drift] == [(later, "pending, but its delivery is gone")]
    client.cancel(later)
    client.retry(later)
    scene.wait_for_status(later, "completed")
    scene.settle(
        "F-47",
        "deliveries of no job and of a finished one; a delivery removed by hand",
        note="reported by state_drift; cancel and retry repair it",
    )
