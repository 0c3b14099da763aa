"""F-48: a random mix, for as long as FAULTS_SECONDS says, from FAULTS_SEED. The house is healed and judged after each round."""

import os
import random
import time

import pytest

from tests.faults import mix
from tests.faults.figures import Figures, combine, report
from tests.faults.scene import Scene
from tests.faults.topology import Topology

SECONDS = float(os.environ.get("FAULTS_SECONDS") or 40)
SEED = int(os.environ.get("FAULTS_SEED") or 1)


@pytest.mark.faults_long
def test_f48_a_random_mix(house: Topology) -> None:
    rounds: list[Figures] = []
    deadline = time.monotonic() + SECONDS
    while not rounds or time.monotonic() < deadline:
        rounds.append(_round(house, len(rounds)))

    longest = max(figures.recovery_seconds or 0.0 for figures in rounds)
    report(combine("F-48", f"random mix, seed {SEED}", rounds, recovery_seconds=longest, note=f"{len(rounds)} rounds in {SECONDS:.0f} s"))


def _round(house: Topology, number: int) -> Figures:
    chance = random.Random(f"{SEED} {number}")
    scene = Scene(house, f"round-{number}")
    try:
        with scene.workload(clients=4, seed=number):
            done = mix.strike(house, chance)
            house.heal()
            recovery = scene.recovery_seconds(since=time.monotonic())
        scene.settle(f"F-48.{number}", ", ".join(done), recovery_seconds=recovery)
    finally:
        scene.close()
    return scene.figures
