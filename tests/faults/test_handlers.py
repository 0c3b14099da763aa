"""Handlers that ignore their cancellation, block, flood, eat memory, or take their worker with them."""

import signal
import time
from uuid import UUID

import pytest

from tests.acceptance.service import children_of, wait_for
from tests.faults.scene import Scene
from tests.faults.topology import Process, Topology


@pytest.mark.faults
def test_f24_handlers_that_ignore_their_cancellation(house: Topology, scene: Scene) -> None:
    client = scene.client()
    stubborn = client.submit_surely("faults.stubborn", "stubborn", seconds=22)
    forking = client.submit_surely("faults.forking", "forking", seconds=600)
    wait_for(lambda: scene.entries(stubborn) and scene.entries(forking), seconds=30)
    family = children_of(house.worker_of(forking).pid)
    with scene.nobody_restarts():
        cancelled_at = time.monotonic()
        client.cancel(stubborn)
        client.cancel(forking)
        scene.wait_for_status(forking, "cancelled")
        forking_seconds = time.monotonic() - cancelled_at
        scene.wait_for_status(stubborn, "failed")
        stubborn_seconds = time.monotonic() - cancelled_at

    assert len(family) == 2
    assert scene.sql("SELECT error_code FROM jobs WHERE id = %s", [stubborn]) == [("cancel_ignored",)]
    scene.settle(
        "F-24",
        "an async handler and a forking process that ignore their cancel",
        note=f"process and child killed after {forking_seconds:.1f} s, the other reported after {stubborn_seconds:.1f} s",
    )


@pytest.mark.faults_long
def test_f04_a_long_drain_keeps_lease_and_cancel(house: Topology, scene: Scene) -> None:
    client = scene.client()
    draining = house.add_worker(JOBHUB_SHUTDOWN_GRACE_SECONDS="300")
    others = [worker for worker in house.workers if worker is not draining]
    try:
        house.heal()
        for worker in others:
            worker.kill()
        long = client.submit_surely("faults.quick", "long", seconds=30)
        cancelled = client.submit_surely("faults.quick", "cancelled", seconds=300)
        for job_id in (long, cancelled):
            scene.wait_for_status(job_id, "running", seconds=60)
        for worker in others:
            worker.start()
        draining.signal(signal.SIGTERM)
        scene.work_for(16)  # longer than a lease that nobody renews
        asked_at = time.monotonic()
        client.cancel(cancelled)
        scene.wait_for_status(cancelled, "cancelled")
        cancel_seconds = time.monotonic() - asked_at
        status = draining.wait(60)
    finally:
        house.remove_worker(draining)

    assert status == 0
    assert scene.outcomes(long) == ["completed"]
    scene.settle("F-04", "SIGTERM with a grace longer than the lease", note=f"cancelled while draining after {cancel_seconds:.1f} s")


@pytest.mark.faults_long
def test_f26_handlers_that_eat_all_memory(house: Topology, scene: Scene) -> None:
    client = scene.client()
    good = [client.submit_surely("faults.quick", f"good-{number}", seconds=0.05) for number in range(50)]
    limit = 1200 * 1024 * 1024
    for worker in house.workers:
        worker.limit_memory(limit)
    process = client.submit_surely("faults.greedy_process", "in-a-process")
    scene.wait_for_status(process, "failed")
    greedy = client.submit_surely("faults.greedy", "in-the-worker")
    deaths = _restart_until_finished(house.workers, scene, greedy, limit)
    for job_id in good:
        scene.wait_for_status(job_id, "completed", seconds=60)

    assert scene.status(greedy) == "failed"
    assert 1 <= deaths <= 3
    assert scene.sql("SELECT error_code FROM jobs WHERE id = %s", [process]) == [("memory_limit_exceeded",)]
    scene.settle(
        "F-26",
        "a handler without end of memory, in the worker and in a process",
        note=f"workers that died: {deaths}, none of them of the process",
    )
    for worker in house.workers:
        worker.kill()  # the limit goes with the process


def _restart_until_finished(workers: list[Process], scene: Scene, job_id: UUID, memory_limit: int = 0) -> int:
    """As a supervisor does; how many workers died meanwhile."""
    deaths = 0
    deadline = time.monotonic() + 120
    while scene.status(job_id) in ("pending", "running"):
        assert time.monotonic() < deadline
        for worker in workers:
            if not worker.is_alive():
                deaths += 1
                worker.start()
                if memory_limit:
                    worker.limit_memory(memory_limit)
        time.sleep(0.1)
    return deaths


@pytest.mark.faults_long
def test_f27_poison_among_good_jobs(house: Topology, scene: Scene) -> None:
    """One worker has them all, and is started again whenever the poison has killed it."""
    client = scene.client()
    for worker in house.workers[1:]:
        worker.kill()
    harmless = [client.submit_surely("faults.poison_process", f"harmless-{number}") for number in range(5)]
    for job_id in harmless:
        scene.wait_for_status(job_id, "failed")
    good = [client.submit_surely("faults.held", f"good-{number}") for number in range(10)]
    for job_id in good:
        scene.wait_for_status(job_id, "running")
    poison = client.submit_surely("faults.poison", "poison")
    scene.wait_for_handler(poison)
    scene.let_go()
    deaths = _restart_until_finished(house.workers[:1], scene, poison)
    for job_id in good:
        scene.wait_for_status(job_id, "completed", "failed", seconds=90)

    assert scene.status(poison) == "failed"
    assert {tuple(scene.outcomes(job_id)) for job_id in harmless} == {("failed",)}
    assert {scene.status(job_id) for job_id in good} == {"completed"}
    scene.settle("F-27", "a job that kills its worker among 10 good ones, 5 that kill their process", note=f"workers that died: {deaths}")


@pytest.mark.faults_long
def test_f29_a_blocked_event_loop_keeps_its_lease(house: Topology, scene: Scene) -> None:
    client = scene.client()
    siblings = [client.submit_surely("faults.quick", f"sibling-{number}", seconds=5) for number in range(9)]
    blocking = client.submit_surely("faults.blocking", "blocking", seconds=25)
    for job_id in (*siblings, blocking):
        scene.wait_for_status(job_id, "completed", seconds=60)

    assert {tuple(scene.outcomes(job_id)) for job_id in (*siblings, blocking)} == {("completed",)}
    lag = scene.sql("SELECT max(loop_lag_ms) FROM workers")[0][0]
    scene.settle("F-29", "an event loop blocked for 25 s", note=f"no job was rescued; lag last reported {lag} ms")


@pytest.mark.faults_long
def test_f43_a_flood_of_progress(house: Topology, scene: Scene) -> None:
    client = scene.client()
    chatty = client.submit_surely("faults.chatty", "chatty", seconds=5)
    percentages = []
    while scene.status(chatty) != "completed":
        percentages.append(scene.sql("SELECT attempt, progress_percentage FROM jobs WHERE id = %s", [chatty])[0])
        client.read(chatty)
        time.sleep(0.05)
    reports, version = scene.sql("SELECT result ->> 'reports', version FROM jobs WHERE id = %s", [chatty])[0]

    assert percentages == sorted(percentages), "never backwards"
    assert version < 20, "at most one write a second"
    scene.settle("F-43", "a flood of progress for 5 s", note=f"{reports} reports made {version} versions")
