"""Workers and APIs that die, stand still or are told to stop."""

import signal
import time

import pytest

from tests.acceptance.service import wait_for
from tests.faults import nemesis
from tests.faults.history import Answer
from tests.faults.ledger import Phase
from tests.faults.proxy import At, Then
from tests.faults.scene import Scene
from tests.faults.topology import Topology

pytestmark = pytest.mark.faults


def test_f01_jobs_of_killed_workers_start_again(house: Topology, scene: Scene) -> None:
    client = scene.client()
    with scene.workload():
        jobs = [client.submit_surely("faults.held", f"held-{number}") for number in range(20)]
        for job_id in jobs:
            scene.wait_for_status(job_id, "running")
        victims = house.workers[:2]
        lost = [job_id for job_id in jobs if house.worker_of(job_id) in victims]
        killed_at = time.monotonic()
        nemesis.kill(victims)
        scene.let_go()
        for job_id in jobs:
            scene.wait_for_status(job_id, "completed")

    assert lost
    assert {tuple(scene.outcomes(job_id)) for job_id in lost} == {("worker_lost", "completed")}
    scene.settle(
        "F-01", "2 of 3 workers killed", recovery_seconds=scene.restart_seconds(lost, since=killed_at), note=f"{len(lost)} held jobs lost"
    )


def test_f02_a_worker_that_stood_still_has_nothing_to_say_afterwards(house: Topology, scene: Scene) -> None:
    client = scene.client()
    jobs = [client.submit_surely("faults.held", f"held-{number}") for number in range(12)]
    for job_id in jobs:
        scene.wait_for_status(job_id, "running")
    zombie = house.workers[0]
    paused_at = time.monotonic()
    with nemesis.paused(zombie):
        its = [job_id for job_id in jobs if house.worker_of(job_id) is zombie]
        scene.let_go()
        for job_id in jobs:
            scene.wait_for_status(job_id, "completed")
    wait_for(lambda: all(_has_ended(scene, job_id) for job_id in its), seconds=10)

    assert its
    assert {tuple(scene.outcomes(job_id)) for job_id in its} == {("worker_lost", "completed")}
    scene.settle("F-02", "a worker paused for longer than its lease", recovery_seconds=scene.restart_seconds(its, since=paused_at))


def _has_ended(scene: Scene, job_id: object) -> bool:
    """Whether the zombie's attempt has taken effect after all, or was stopped."""
    return any(entry.attempt == 1 and entry.phase is not Phase.START for entry in scene.entries(job_id))


def test_f05_what_a_stopping_worker_can_t_finish_starts_elsewhere(house: Topology, scene: Scene) -> None:
    client = scene.client()
    jobs = [client.submit_surely("faults.held", f"long-{number}") for number in range(12)]
    for job_id in jobs:
        scene.wait_for_status(job_id, "running")
    stopping = house.workers[:2]
    theirs = [job_id for job_id in jobs if house.worker_of(job_id) in stopping]
    stopped_at = time.monotonic()
    for number in (signal.SIGTERM,) * 5:
        stopping[0].signal(number)
    stopping[1].signal(signal.SIGINT)
    statuses = [worker.wait(20) for worker in stopping]
    exited_at = time.monotonic()
    scene.let_go()
    for job_id in jobs:
        scene.wait_for_status(job_id, "completed")

    assert statuses == [0, 0]
    assert theirs
    assert {tuple(scene.outcomes(job_id)) for job_id in theirs} == {("released", "completed")}
    scene.settle(
        "F-05",
        "SIGTERM × 5 and SIGINT, grace of 2 s too short",
        recovery_seconds=scene.restart_seconds(theirs, since=stopped_at),
        note=f"exit after {exited_at - stopped_at:.1f} s",
    )


@pytest.mark.parametrize(("at", "jobs_made"), [(At.BEFORE, 0), (At.ANSWERED, 1)])
def test_f17_an_api_killed_in_the_middle_of_a_submit(house: Topology, scene: Scene, at: At, jobs_made: int) -> None:
    api = house.apis[0]
    for number in range(2):
        trap = api.proxy.trap("submit_jobs", at=at, then=Then.HOLD)
        title = f"interrupted-{number}"
        with scene.in_background(lambda client, title=title: client.submit("faults.quick", title), api=api) as answer:
            wait_for(lambda trap=trap: trap.caught, seconds=20)
            api.kill()
        api.proxy.reset()

        assert answer.call.answer is Answer.UNKNOWN
        assert scene.sql("SELECT count(*) FROM jobs WHERE owner_id = %s AND title = %s", [scene.owner.id, title]) == [(jobs_made,)]
        killed_at = time.monotonic()
        api.start()
        scene.client(f"again-{number}", api=house.apis[1]).submit_surely("faults.quick", title)
        wait_for(api.is_ready, seconds=30)

    found = scene.settle(
        "F-17",
        f"API killed {'before' if at is At.BEFORE else 'after'} the commit of a submit",
        recovery_seconds=time.monotonic() - killed_at,
    )
    assert len(found.jobs) == 2
