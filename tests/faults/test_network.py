"""Networks that swallow, reset, delay, and lose the answer to a COMMIT."""

import time
from contextlib import ExitStack
from uuid import UUID

import pytest

from jobhub.worker.lease import LEASE_SECONDS
from tests.acceptance.service import wait_for
from tests.faults import nemesis
from tests.faults.client import Client
from tests.faults.history import Answer, Call
from tests.faults.proxy import At
from tests.faults.scene import Scene
from tests.faults.topology import Topology

ALL_CUTS = (At.ANSWERED, At.SENT)
API_WRITES = ("submit_jobs", "cancel_job", "retry_job", "force_complete_job")
WORKER_WRITES = ("claim_jobs", "finish_jobs", "promote_jobs", "report_progress", "renew_lease")
# Longer than an API (2.5 s) and a worker (5 s) wait for an answer, and well below the 12 s after which a worker stops its jobs.
HOLE_SECONDS = 6


@pytest.mark.faults
@pytest.mark.parametrize("at", ALL_CUTS, ids=lambda at: at.name.lower())
def test_f13_whether_a_commit_took_place_is_unknown(house: Topology, scene: Scene, at: At) -> None:
    api, client = house.apis[0], scene.client()
    steady = [client.submit_surely("faults.steady", f"steady-{number}", seconds=3) for number in range(6)]
    worker_cuts = nemesis.cut_commits(house.workers, at=at, count=2, statements=WORKER_WRITES)
    with scene.nobody_restarts(), scene.workload(seed=at.value):
        submitted = [_cut(scene, client, api, at, ("submit_jobs",), number) for number in range(3)]
        later = client.submit_surely("faults.flaky", "later")  # its second attempt has to be promoted
        held = [client.submit_surely("faults.quick", f"held-{number}", seconds=60) for number in range(3)]
        _cut_call(scene, api, at, "cancel_job", lambda: client.cancel(held[0]))
        admin = scene.client("administrator", user=scene.admin)
        _cut_call(scene, api, at, "force_complete_job", lambda: admin.force_complete(held[1]))
        client.cancel(held[2])
        scene.wait_for_status(held[2], "cancelled")
        _cut_call(scene, api, at, "retry_job", lambda: client.retry(held[2]))
        recovery = scene.recovery_seconds(since=time.monotonic())
        client.cancel(held[2])
        for job_id in (*steady, *submitted, later):
            scene.wait_for_status(job_id, "completed")
        wait_for(lambda: all(trap.caught for _, trap in worker_cuts if "report_progress" not in trap.statements), seconds=30)

    cuts = sum(len(trap.caught) for _, trap in worker_cuts) + 6
    assert [scene.status(job_id) for job_id in held[:2]] == ["cancelled", "completed"]
    scene.settle(
        "F-13",
        "connection cut after the COMMIT" if at is At.ANSWERED else "connection cut while the COMMIT was under way",
        recovery_seconds=recovery,
        note=f"{cuts} cuts at {len(API_WRITES) + len(WORKER_WRITES)} statements",
    )


def _cut(scene: Scene, client: Client, api: object, at: At, statements: tuple[str, ...], number: int) -> UUID:
    """A submit whose answer is lost; the job it makes when it is sent again under its key."""
    trap = scene.house.apis[0].proxy.trap(*statements, at=at)
    title = f"cut-{at.name.lower()}-{number}"
    job_id = client.submit_surely("faults.quick", title)
    wait_for(lambda: trap.caught, seconds=20)
    wait_for(lambda: scene.sql("SELECT count(*) FROM jobs WHERE title = %s", [title]) == [(1,)], seconds=10)
    return job_id


def _cut_call(scene: Scene, api: object, at: At, statement: str, call: object) -> None:
    """A call whose answer is lost; it takes effect all the same."""
    trap = scene.house.apis[0].proxy.trap(statement, at=at)
    while not trap.caught:
        answer = call()  # type: ignore[operator]
    assert answer.answer is Answer.UNKNOWN


@pytest.mark.faults
def test_f14_a_black_hole_between_everybody_and_the_database(house: Topology, scene: Scene) -> None:
    """It is over before the leases are: whoever works goes on. The renewal comes first, since a lease may have only 9 s left before it."""
    client = scene.client()
    with scene.nobody_restarts(), scene.workload():
        held = client.submit_surely("faults.quick", "held", seconds=12)
        scene.wait_for_handler(held)  # before, the answer to its claim could be swallowed too: it would be put back, as F-13 has it
        scene.wait_for_renewal(held)
        calls = _swallowed_submits(house, scene, seconds=HOLE_SECONDS)
        recovery = scene.recovery_seconds(since=time.monotonic())
        scene.wait_for_status(held, "completed")

    assert {call.status for call in calls} == {503}
    assert scene.outcomes(held) == ["completed"]
    scene.settle(
        "F-14", "black hole around the database", recovery_seconds=recovery, note=f"503 after {max(call.seconds for call in calls):.1f} s"
    )


@pytest.mark.faults_long
def test_f14_a_black_hole_that_outlasts_the_leases(house: Topology, scene: Scene) -> None:
    """Workers stop what they run; once it is over, the job is given back by its worker or rescued by another, and starts again."""
    client = scene.client()
    with scene.nobody_restarts(), scene.workload():
        held = client.submit_surely("faults.quick", "held", seconds=25)
        scene.wait_for_handler(held)
        calls = _swallowed_submits(house, scene, seconds=LEASE_SECONDS + 1)
        recovery = scene.recovery_seconds(since=time.monotonic())
        scene.wait_for_status(held, "completed", seconds=60)

    assert {call.status for call in calls} == {503}
    assert scene.outcomes(held) in (["released", "completed"], ["worker_lost", "completed"])
    assert scene.overlaps([held]) == [], "it was stopped before it started again"
    scene.settle("F-14", "black hole that outlasts the leases", recovery_seconds=recovery)


def _swallowed_submits(house: Topology, scene: Scene, *, seconds: float) -> list[Call]:
    """A submit through each API into a black hole that lasts so long, and their answers."""
    with nemesis.black_hole(house.processes), ExitStack() as calling:
        swallowed = [
            calling.enter_context(scene.in_background(lambda client: client.submit("faults.quick", f"swallowed-{client.name}"), api=api))
            for api in house.apis
        ]
        scene.work_for(seconds)
    return [background.call for background in swallowed]


@pytest.mark.faults_long
def test_f15_one_worker_is_cut_off_for_longer_than_its_lease(house: Topology, scene: Scene) -> None:
    client = scene.client()
    with scene.nobody_restarts(), scene.workload():
        jobs = [client.submit_surely("faults.quick", f"held-{number}", seconds=25) for number in range(9)]
        for job_id in jobs:
            scene.wait_for_status(job_id, "running")
        victim = house.workers[0]
        its = [job_id for job_id in jobs if house.worker_of(job_id) is victim]
        cut_at = time.monotonic()
        with nemesis.black_hole([victim]):
            for job_id in its:
                wait_for(lambda job_id=job_id: scene.outcomes(job_id) == ["worker_lost"], seconds=40)
            scene.work_for(3)
        recovery = scene.recovery_seconds(since=time.monotonic())
        for job_id in jobs:
            scene.wait_for_status(job_id, "completed", seconds=60)

    assert its
    assert scene.overlaps(its) == [], "it stopped its jobs before somebody else took them"
    scene.settle(
        "F-15",
        "one worker cut off for longer than its lease",
        recovery_seconds=recovery,
        note=f"its jobs started again after {scene.restart_seconds(its, since=cut_at):.1f} s, none ran twice at once",
    )


@pytest.mark.faults_long
def test_f15_apis_go_on_while_all_workers_are_cut_off_and_the_reverse(house: Topology, scene: Scene) -> None:
    client = scene.client()
    with scene.nobody_restarts():
        with nemesis.black_hole(house.workers):
            accepted = [client.submit("faults.quick", f"waiting-{number}") for number in range(10)]
        for call in accepted:
            assert call.job_id
            scene.wait_for_status(call.job_id, "completed")
        running = [client.submit_surely("faults.quick", f"running-{number}", seconds=3) for number in range(5)]
        with nemesis.black_hole(house.apis):
            for job_id in running:
                scene.wait_for_status(job_id, "completed")
        recovery = scene.recovery_seconds(since=time.monotonic())

    assert {call.status for call in accepted} == {201}
    scene.settle("F-15", "workers cut off, then APIs", recovery_seconds=recovery)


@pytest.mark.faults_long
def test_f16_resets_lost_answers_and_a_slow_line(house: Topology, scene: Scene) -> None:
    with scene.nobody_restarts(), scene.workload(clients=4):
        nemesis.reset_storm(house.processes, seconds=5)
        recovery = scene.recovery_seconds(since=time.monotonic())
        with nemesis.answers_lost(house.apis[0]), nemesis.answers_lost(house.workers[0]):
            scene.work_for(5)
        recovery = max(recovery, scene.recovery_seconds(since=time.monotonic()))
        with nemesis.slow(house.processes, 0.2):
            scene.work_for(8)
        recovery = max(recovery, scene.recovery_seconds(since=time.monotonic()))

    scene.settle("F-16", "5 s of resets, 5 s of lost answers, 8 s of 0.2 s latency", recovery_seconds=recovery)
