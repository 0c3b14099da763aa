"""Users at work: clients in threads that submit a mix of jobs, look at them, cancel some, retry some, and never stop at an error."""

import random
import threading
import time
from uuid import UUID

from jobhub.domain.users import User
from tests.faults.client import Client
from tests.faults.history import Answer, History
from tests.faults.topology import Topology

# Weights of what is submitted: job type, shortest and longest duration in seconds.
MIX = [
    (60, "faults.quick", 0.005, 0.05),
    (15, "faults.steady", 0.5, 2.0),
    (4, "faults.process", 0.05, 0.3),
    (8, "faults.flaky", 0.0, 0.05),
    (5, "faults.broken", 0.0, 0.0),
]
PAUSE_SECONDS = 0.05  # of one client between two calls: some 20 calls a second from each


class Workload:
    """Some clients that go on until they are told to stop."""

    def __init__(self, house: Topology, owner: User, history: History, *, clients: int = 3, seed: int = 0) -> None:
        self._stop = threading.Event()
        self._threads = []
        for number in range(clients):
            client = Client(f"client{number}", house.apis[number % len(house.apis)], owner, history)
            user = _User(client, random.Random(f"{seed} {number}"), self._stop)
            self._threads.append(threading.Thread(target=user.work, name=client.name, daemon=True))

    def __enter__(self) -> "Workload":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} waits for an answer for ever"


class _User:
    """One client and its mind. Half of them send again what they don't know the outcome of; the others never do."""

    def __init__(self, client: Client, chance: random.Random, stop: threading.Event) -> None:
        self._client = client
        self._chance = chance
        self._stop = stop
        self._is_persistent = chance.random() < 0.5
        self._jobs: list[UUID] = []
        self._number = 0

    def work(self) -> None:
        with self._client:
            while not self._stop.wait(PAUSE_SECONDS * self._chance.uniform(0.5, 1.5)):
                self._act()

    def _act(self) -> None:
        what = self._chance.random()
        if what < 0.6 or not self._jobs:
            self._submit()
        elif what < 0.9:
            self._client.read(self._recent())
        elif what < 0.96:
            self._client.cancel(self._recent())
        else:
            self._client.retry(self._recent())

    def _recent(self) -> UUID:
        return self._chance.choice(self._jobs[-20:])

    def _submit(self) -> None:
        self._number += 1
        _, job_type, shortest, longest = self._chance.choices(MIX, [weight for weight, *_ in MIX])[0]
        title = f"{self._client.name} {time.monotonic_ns()} {self._number}".replace(" ", "-")
        seconds = self._chance.uniform(shortest, longest)
        for _ in range(100):
            call = self._client.submit(job_type, title, seconds=seconds, keyed=self._is_persistent)
            if call.job_id:
                self._jobs.append(call.job_id)
            if call.answer is not Answer.UNKNOWN or not self._is_persistent or self._stop.wait(0.2):
                return
