"""Clean-ups whose process is killed in the middle: a batch takes place with all that belongs to it or not at all, and the next goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.service import wait_for
from tests.faults.history import Answer
from tests.faults.proxy import At, Then, Trap
from tests.faults.residue import miscounted
from tests.faults.scene import Scene
from tests.faults.topology import Process, Topology

POLICY = "completed=1d, cancelled=1d"
JOBS = 3000  # three batches
KEPT = {"failed": JOBS // 100, "completed, pinned": JOBS // 100}
BEFORE_OR_AFTER = (pytest.param(At.BEFORE, marks=pytest.mark.faults_long), pytest.param(At.ANSWERED, marks=pytest.mark.faults))

# Finished two days ago. Of each hundred one has failed, one was cancelled, and one is pinned. Their worker's id says whose they are.
MAKE = """
WITH made AS (
    INSERT INTO jobs (
        id, owner_id, job_type, queue, title, parameters, status, error_code, error_message, attempt, worker_id,
        due_at, created_at, started_at, completed_at, pinned_at
    )
    SELECT
        gen_random_uuid(), %(mark)s, 'faults.old', 'default', 'an old job', '{}', old.status::job_status,
        CASE old.status WHEN 'failed' THEN 'boom' END, CASE old.status WHEN 'failed' THEN 'It went boom.' END, 1, %(mark)s,
        old.at, old.at, old.at, old.at, CASE WHEN old.number %% 100 = 2 THEN old.at END
    FROM (
        SELECT
            number, now() - interval '2 days' + number * interval '1 ms' AS at,
            CASE number %% 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'completed' END AS status
        FROM generate_series(1, %(jobs)s) AS number
    ) AS old
    RETURNING id, worker_id, status, due_at, started_at, completed_at, error_code, error_message
)
INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)
SELECT id, 1, worker_id, due_at, started_at, completed_at, status::text::attempt_outcome, error_code, error_message FROM made
"""
COUNT_ANEW = """
DO $$BEGIN
    LOCK TABLE jobs, job_attempts IN SHARE MODE;
    TRUNCATE job_stats, job_time_stats, job_failure_stats, job_stat_changes;
    PERFORM count_history_into_stats();
END$$
"""
LEFT = """
SELECT status::text || CASE WHEN pinned_at IS NULL THEN '' ELSE ', pinned' END, count(*) FROM jobs WHERE worker_id = %s GROUP BY 1
"""
ATTEMPTS = "SELECT job_id FROM job_attempts WHERE worker_id = %s EXCEPT SELECT id FROM jobs"
# Each batch, and the jobs that went with it.
ON_RECORD = """
SELECT count(*), coalesce(sum((details -> 'deleted' ->> 'faults.old')::integer), 0) FROM audit_log WHERE verb = 'clean_up' AND id > %s
"""
COUNTED = """
SELECT sum(completed + failed + cancelled) AS jobs, sum(completed_removed + failed_removed + cancelled_removed) AS removed
FROM job_stats_current WHERE job_type = 'faults.old' AND resolution = 'all_time'
"""


class Past:
    """A history to clean up, made with the scene, and what has become of it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        scene.sql(MAKE, {"mark": scene.admin.id, "jobs": JOBS})
        scene.sql(COUNT_ANEW)
        self._last_entry = scene.sql("SELECT coalesce(max(id), 0) FROM audit_log")[0][0]
        self._counted = scene.sql(COUNTED)[0][0]

    def left(self) -> dict[str, int]:
        return dict(self._scene.sql(LEFT, [self._scene.admin.id]))

    def batches(self) -> int:
        """How many took place. Jobs, attempts, statistics and the audit log have to agree on what they deleted."""
        batches, deleted = self._scene.sql(ON_RECORD, [self._last_entry])[0]
        assert sum(self.left().values()) == JOBS - deleted
        assert self._scene.sql(ATTEMPTS, [self._scene.admin.id]) == []
        assert self._scene.sql(COUNTED)[0] == (self._counted, deleted)
        assert miscounted(self._scene.house) == []
        return int(batches)


@pytest.mark.parametrize("at", BEFORE_OR_AFTER)
def test_f49_an_api_killed_in_the_middle_of_a_clean_up(house: Topology, scene: Scene, at: At) -> None:
    past, api = Past(scene), house.apis[0]
    admin = scene.client("administrator", api=house.apis[1], user=scene.admin)
    with scene.workload():
        first = hold(api, At.ANSWERED)
        with scene.in_background(lambda client: client.clean_up(days_old=1), api=api, user=scene.admin) as interrupted:
            second = hold_next(api, first, at)
            meanwhile = admin.clean_up(days_old=1)
            kill(api, second)
        killed_at = time.monotonic()
        batches = past.batches()
        wait_for(lambda: admin.clean_up(days_old=1).status == 200, seconds=20)
        recovery = time.monotonic() - killed_at
        api.start()

    assert interrupted.call.answer is Answer.UNKNOWN
    assert meanwhile.status == 409
    assert batches == (1 if at is At.BEFORE else 2)
    assert past.batches() > batches
    assert past.left() == KEPT
    scene.settle("F-49", f"API killed {before_or_after(at)} the commit of a clean-up's second batch", recovery_seconds=recovery)


@pytest.mark.parametrize("at", BEFORE_OR_AFTER)
def test_f49_a_worker_killed_while_it_applies_the_policy(house: Topology, scene: Scene, at: At) -> None:
    past = Past(scene)
    admin = scene.client("administrator", user=scene.admin)
    scene.sql("DELETE FROM upkeep")
    with extra_worker(house, JOBHUB_RETENTION=POLICY) as worker:
        second = hold_next(worker, hold(worker, At.ANSWERED), at)
        meanwhile = admin.clean_up(days_old=3)
        kill(worker, second)
        killed_at = time.monotonic()
        batches = past.batches()
        wait_for(lambda: admin.clean_up(days_old=3).status == 200, seconds=20)  # by hand at once, and there is nothing that old
        recovery = time.monotonic() - killed_at
        scene.sql("UPDATE upkeep SET began_at = began_at - interval '1 hour'")  # by itself when the hour is over
        worker.start()
        wait_for(lambda: past.left() == KEPT, seconds=40)

    assert meanwhile.status == 409
    assert batches == (1 if at is At.BEFORE else 2)
    assert past.batches() > batches
    scene.settle("F-49", f"worker killed {before_or_after(at)} the commit of its policy's second batch", recovery_seconds=recovery)


def hold(process: Process, at: At) -> Trap:
    return process.proxy.trap("clean_up_jobs", at=at, then=Then.HOLD)


def hold_next(process: Process, trap: Trap, at: At) -> Trap:
    """Let go the batch this trap holds, and hold the next one."""
    wait_for(lambda: trap.caught, seconds=40)
    following = hold(process, at)
    process.proxy.let_go(trap)
    wait_for(lambda: following.caught, seconds=20)
    return following


def kill(process: Process, trap: Trap) -> None:
    """SIGKILL while the trap holds a batch; the kernel ends its connections."""
    assert trap.caught
    process.kill()
    process.proxy.reset()


def before_or_after(at: At) -> str:
    return "before" if at is At.BEFORE else "after"


@contextmanager
def extra_worker(house: Topology, **environ: str) -> Iterator[Process]:
    worker = house.add_worker(**environ)
    try:
        yield worker
    finally:
        house.remove_worker(worker)
