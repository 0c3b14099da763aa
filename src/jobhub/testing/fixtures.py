"""Fixtures for pytest: put `pytest_plugins = ["jobhub.testing.fixtures"]` into the topmost conftest.py.

`jobhub_service` is one service for all tests, `jobhub_client` a client of a new user on it for each. The ini option `jobhub_handlers` names
modules of handlers; those of installed packages are found by their entry points anyway.
"""

from collections.abc import Iterator

import pytest

from jobhub.client import Client
from jobhub.testing.service import TemporaryService, temporary_service


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the option known."""
    parser.addini("jobhub_handlers", "Modules with handlers for the service of the fixture jobhub_service.", type="args", default=[])


@pytest.fixture(scope="session")
def jobhub_service(request: pytest.FixtureRequest) -> Iterator[TemporaryService]:
    """A running service, for all tests together."""
    with temporary_service(handlers=request.config.getini("jobhub_handlers")) as service:
        yield service


@pytest.fixture
def jobhub_client(jobhub_service: TemporaryService) -> Client:
    """A client of a user of the test's own."""
    return jobhub_service.user()
