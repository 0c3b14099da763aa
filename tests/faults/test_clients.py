"""Clients that repeat themselves, come all at once, race with each other, or never finish a sentence."""

import itertools
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests import factories
from tests.faults import nemesis
from tests.faults.client import Client
from tests.faults.history import Answer, Call
from tests.faults.scene import Scene
from tests.faults.topology import Topology


def together(acts: list[Callable[[], Call]]) -> list[Call]:
    """All of them at the same moment, each in a thread; their answers in the same order."""
    barrier = threading.Barrier(len(acts))
    answers: dict[int, Call] = {}

    def act(number: int) -> None:
        barrier.wait(60)
        answers[number] = acts[number]()

    threads = [threading.Thread(target=act, args=[number], daemon=True) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(acts))]


@pytest.mark.faults
def test_f18_one_key_makes_one_job_however_often_it_is_sent(house: Topology, scene: Scene) -> None:
    clients = [scene.client(f"client{number}", api=house.apis[number % 2]) for number in range(20)]

    calls = together([lambda client=client: client.submit("faults.quick", "the-same") for client in clients])
    other_body = clients[0].submit("faults.quick", "the-same", seconds=1.0)
    job_id = calls[0].job_id
    assert job_id
    scene.wait_for_status(job_id, "completed")
    clients[0].submit("faults.quick", "the-same")
    failed = clients[0].submit_surely("faults.broken", "broken")
    scene.wait_for_status(failed, "failed")
    retries = together([lambda client=client: client.retry(failed) for client in clients])
    scene.wait_for_status(failed, "failed")

    assert sorted(str(call.status) for call in calls) == ["200"] * 19 + ["201"]
    assert {call.job_id for call in calls} == {job_id}
    assert other_body.status == 422
    again = [call for call in retries if call.answer is Answer.OK]
    assert len(scene.outcomes(failed)) == 1 + len(again)
    scene.settle("F-18", "one submit sent 21 times, one retry 20 times at once", note=f"{len(again)} of the retries took effect")


@pytest.mark.faults
def test_f46_verbs_that_race_with_each_other_and_with_the_handler_s_end(house: Topology, scene: Scene) -> None:
    one, two = scene.client("one"), scene.client("two", api=house.apis[1])
    admin = scene.client("administrator", user=scene.admin, api=house.apis[1])
    winners: dict[str, int] = {}
    for number in range(40):
        # Ends at about the moment the others come.
        job_id = one.submit_surely("faults.quick" if number % 2 else "faults.broken", f"raced-{number}", seconds=0.02)
        calls = together([_verb(one.cancel, job_id), _verb(two.retry, job_id), _verb(admin.force_complete, job_id)])
        for call in calls:
            winners[call.verb] = winners.get(call.verb, 0) + (call.answer is Answer.OK)
            assert call.status in (200, 409), call

    note = ", ".join(f"{verb} won {count}" for verb, count in sorted(winners.items()))
    assert winners["force_complete"], note
    scene.settle("F-46", "cancel, retry, force-complete and the handler's end at once, 40 times", note=note)


def _verb(act: Callable[[UUID], Call], job_id: UUID) -> Callable[[], Call]:
    return lambda: act(job_id)


@pytest.mark.faults
def test_f31_connections_that_run_out(house: Topology, scene: Scene) -> None:
    clients = [scene.client(f"client{number}", api=house.apis[number % 2]) for number in range(40)]
    sent, refused, log_start = 0, 0, len(house.postgres.log)
    deadline = time.monotonic() + 30
    with scene.nobody_restarts():
        with nemesis.few_connections(house, 6):
            # Again, where a slow machine has not asked for all of them at once.
            for number in itertools.count():
                if number >= 3 and ("too many connections" in house.postgres.log[log_start:] or time.monotonic() > deadline):
                    break
                sent += len(clients)
                calls = together([_submit(client, f"{client.name}-{number}") for client in clients])
                assert {call.status for call in calls} <= {201, 503}
                refused += sum(call.status == 503 for call in calls)
        recovery = scene.recovery_seconds(since=time.monotonic())

    assert "too many connections" in house.postgres.log[log_start:]
    scene.settle("F-31", "6 connections for the whole house", recovery_seconds=recovery, note=f"{refused} of {sent} submits got 503")


def _submit(client: Client, title: str) -> Callable[[], Call]:
    return lambda: client.submit("faults.quick", title)


@pytest.mark.faults_long
def test_f30_clients_that_never_finish_their_request(house: Topology, scene: Scene) -> None:
    """Half of them in the headers, half in the body; the others are served all the while."""
    api, client = house.apis[0], scene.client()
    beginnings = [
        b"POST /jobs HTTP/1.1\r\nHost: api\r\nX-Slow: ",
        b"POST /jobs HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer "
        + factories.token(scene.owner).encode()
        + b"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    ]
    with scene.nobody_restarts(), ExitStack() as sockets:
        for number in range(400):
            slow = sockets.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            slow.sendall(beginnings[number % 2])
        calls = [client.submit("faults.quick", f"beside-{number}") for number in range(30)]
        ready = httpx.get(f"{api.url}/readyz", trust_env=False, timeout=20).status_code

    assert {call.status for call in calls} == {201}
    assert ready == 200
    slowest = max(call.seconds for call in calls)
    scene.settle("F-30", "400 requests that never end", note=f"slowest answer beside them {slowest:.2f} s")


@pytest.mark.faults_long
def test_f28_an_api_without_file_descriptors(house: Topology, scene: Scene) -> None:
    """It may have to refuse connections; it serves again once there are descriptors, and its neighbour never stops."""
    api = house.apis[0]
    with scene.nobody_restarts():
        with few_descriptors(api.pid, spare=4), ExitStack() as sockets:
            for _ in range(40):
                sockets.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            calls = [scene.client(f"client{number}", api=house.apis[1]).submit("faults.quick", f"beside-{number}") for number in range(10)]
            scene.work_for(2)
        recovery = scene.recovery_seconds(since=time.monotonic())

    assert {call.status for call in calls} == {201}
    scene.settle("F-28", "an API without file descriptors", recovery_seconds=recovery)


@contextmanager
def few_descriptors(pid: int, *, spare: int) -> Iterator[None]:
    """A process that may open only a few files more than it has."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
