"""Faults chosen at random, several at once: the same seed chooses the same ones. Not here: what must hold (`checker`)."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.faults import nemesis
from tests.faults.proxy import At
from tests.faults.topology import Topology

LONGEST_SECONDS = 20.0  # longer than a lease


def strike(house: Topology, chance: random.Random) -> list[str]:
    """One to three lasting faults at once, and one to three sudden ones meanwhile; then all is undone. What was done, in order."""
    done: list[str] = []
    with ExitStack() as lasting:
        for name in chance.sample(sorted(LASTING), chance.randint(1, 3)):
            done.append(name)
            lasting.enter_context(LASTING[name](house, chance))
        for name in chance.choices(sorted(SUDDEN), k=chance.randint(1, 3)):
            time.sleep(chance.uniform(0.2, 3.0))
            done.append(name)
            SUDDEN[name](house, chance)
        time.sleep(chance.choice([0.5, 3.0, LONGEST_SECONDS]))
    return done


@contextmanager
def _paused(house: Topology, chance: random.Random) -> Iterator[None]:
    with nemesis.paused(chance.choice(house.workers)):
        yield


LASTING: dict[str, Callable[[Topology, random.Random], AbstractContextManager[None]]] = {
    "a worker paused": _paused,
    "black hole": lambda house, chance: nemesis.black_hole(nemesis.some(chance, house.processes)),
    "answers lost": lambda house, chance: nemesis.answers_lost(chance.choice(house.processes)),
    "slow line": lambda house, chance: nemesis.slow(nemesis.some(chance, house.processes), chance.uniform(0.01, 0.3)),
    "read-only database": lambda house, _: nemesis.read_only(house),
    "few connections": lambda house, chance: nemesis.few_connections(house, chance.randint(3, 12)),
}

SUDDEN: dict[str, Callable[[Topology, random.Random], object]] = {
    "workers killed": lambda house, chance: nemesis.kill(nemesis.some(chance, house.workers)),
    "an API killed": lambda house, chance: nemesis.kill([chance.choice(house.apis)]),
    "a worker stopped": lambda house, chance: nemesis.stop(chance.choice(house.workers)),
    "PostgreSQL restarted": lambda house, chance: nemesis.restart_postgres(house, chance.choice(SIGNALS)),
    "connections ended": lambda house, chance: nemesis.terminate_backends(house, share=chance.uniform(0.1, 1.0)),
    "a backend killed": lambda house, _: nemesis.crash_a_backend(house),
    "resets": lambda house, chance: nemesis.reset_storm(nemesis.some(chance, house.processes), seconds=2),
    "commits cut": lambda house, chance: nemesis.cut_commits(
        nemesis.some(chance, house.processes), at=chance.choice(list(At)), count=chance.randint(1, 3)
    ),
}
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
