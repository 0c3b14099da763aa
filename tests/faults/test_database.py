"""A server that stops, crashes, loses connections, or takes no writes."""

import signal
import time

import httpx
import pytest

from tests.acceptance.service import wait_for
from tests.faults import nemesis
from tests.faults.history import Answer
from tests.faults.scene import Scene
from tests.faults.topology import Topology


@pytest.mark.faults
def test_f07_an_immediate_shutdown_stops_no_process_and_loses_nothing(house: Topology, scene: Scene) -> None:
    with scene.nobody_restarts(), scene.workload():
        for _ in range(2):
            scene.work_for(1.5)
            back_at = nemesis.restart_postgres(house, signal.SIGQUIT)
            recovery = scene.recovery_seconds(since=back_at)

    scene.settle("F-07", "PostgreSQL stopped immediately, twice", recovery_seconds=recovery)


@pytest.mark.faults
def test_f09_connections_that_are_ended_and_a_backend_that_crashes(house: Topology, scene: Scene) -> None:
    with scene.nobody_restarts(), scene.workload():
        ended = sum(_after(0.2, nemesis.terminate_backends, house, share=0.2) for _ in range(15))
        stormed_at = time.monotonic()
        recovery = scene.recovery_seconds(since=stormed_at)
        nemesis.crash_a_backend(house)
        crash_recovery = scene.recovery_seconds(since=time.monotonic())

    assert ended
    scene.settle(
        "F-09",
        "backends ended for 3 s, then one killed",
        recovery_seconds=max(recovery, crash_recovery),
        note=f"{ended} connections ended",
    )


def _after(seconds: float, act: object, *arguments: object, **named: object) -> int:
    time.sleep(seconds)
    return act(*arguments, **named)  # type: ignore[operator,no-any-return]


@pytest.mark.faults_long
def test_f06_fast_restarts_under_load(house: Topology, scene: Scene) -> None:
    recoveries = []
    with scene.nobody_restarts(), scene.workload(clients=4):
        for _ in range(5):
            scene.work_for(3)
            back_at = nemesis.restart_postgres(house, signal.SIGINT)
            recoveries.append(scene.recovery_seconds(since=back_at))

    scene.settle("F-06", "PostgreSQL restarted fast, 5 times", recovery_seconds=max(recoveries))


@pytest.mark.faults_long
def test_f08_a_killed_postmaster(house: Topology, scene: Scene) -> None:
    recoveries = []
    with scene.nobody_restarts(), scene.workload(clients=4):
        for _ in range(3):
            scene.work_for(3)
            recoveries.append(scene.recovery_seconds(since=nemesis.kill_postgres(house)))

    scene.settle("F-08", "postmaster killed, 3 times", recovery_seconds=max(recoveries))


@pytest.mark.faults_long
def test_f10_processes_start_and_wait_while_there_is_no_database(house: Topology, scene: Scene) -> None:
    client = scene.client()
    waiting = client.submit_surely("faults.held", "waiting")
    scene.wait_for_status(waiting, "running")
    house.postgres.stop(signal.SIGINT)
    scene.let_go()
    restarted = [house.apis[1], house.workers[1], house.workers[2]]
    for process in restarted:
        process.kill()
        process.start()
    with scene.nobody_restarts():
        wait_for(lambda: _status(house, 1, "livez") == 200, seconds=40)
        assert [_status(house, 1, "readyz"), _status(house, 0, "readyz"), _status(house, 0, "livez")] == [503, 503, 200]
        assert client.submit("faults.quick", "refused").status == 503
        time.sleep(6)
        house.postgres.start()
        recovery = scene.recovery_seconds(since=time.monotonic())
        scene.wait_for_status(waiting, "completed")

    scene.settle("F-10", "no database at the start and for a while", recovery_seconds=recovery)


@pytest.mark.faults_long
def test_f11_a_read_only_database_is_read(house: Topology, scene: Scene) -> None:
    client = scene.client()
    job_id = client.submit_surely("faults.quick", "before")
    scene.wait_for_status(job_id, "completed")
    with scene.nobody_restarts(), scene.workload():
        with nemesis.read_only(house):
            wait_for(lambda: client.read(job_id).answer is Answer.OK, seconds=10)
            written = [client.submit("faults.quick", f"write-{number}") for number in range(5)]
            scene.work_for(4)
        recovery = scene.recovery_seconds(since=time.monotonic())

    assert {call.status for call in written} == {503}
    scene.settle("F-11", "read-only for 4 s", recovery_seconds=recovery)


def _status(house: Topology, number: int, path: str) -> int:
    try:
        return httpx.get(f"{house.apis[number].url}/{path}", timeout=10, trust_env=False).status_code
    except httpx.TransportError:
        return 0
