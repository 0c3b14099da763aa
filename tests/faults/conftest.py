"""The house stands for all tests of faults in one process; each test gets it healed, and has users of its own.

`xdist_group` keeps them in one process: two of these houses on one machine would tell more about the machine than about jobhub.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scene import Scene
from tests.faults.topology import Topology, topology

MARKS = {"faults", "faults_long"}


@pytest.hookimpl(tryfirst=True)  # before the groups are looked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and MARKS & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def _house() -> Iterator[Topology]:
    with topology() as house:
        yield house


@pytest.fixture
def house(_house: Topology) -> Iterator[Topology]:
    """The house, healed before the test and after it."""
    _house.heal()
    yield _house
    _house.heal()


@pytest.fixture
def scene(house: Topology, request: pytest.FixtureRequest) -> Iterator[Scene]:
    scene = Scene(house, request.node.name.partition("[")[0].replace("_", "-")[:60])
    yield scene
    scene.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """After a failure, the logs of the house."""
    report = yield
    if report.when == "call" and report.failed and "house" in getattr(item, "funcargs", {}):
        item.funcargs["house"].print_logs()
    return report
