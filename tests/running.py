"""A running `jobhub up` and accounts on it, for tests of those who use it from outside. Their group is `client`, so that one is enough."""

import itertools
from collections.abc import Iterator

import pytest

from jobhub.client import Client
from tests.acceptance.service import Service, service
from tests.client.front import Front, front

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def jobhub_up() -> Iterator[Service]:
    """One `jobhub up` for all tests of the client."""
    with service(JOBHUB_MAX_SUBMITS_PER_MINUTE="0") as started:
        yield started


@pytest.fixture
def administrator(jobhub_up: Service) -> tuple[str, str]:
    return jobhub_up.administrator()


@pytest.fixture(scope="session")
def account_maker(jobhub_up: Service) -> Iterator[Client]:
    """An administrator's client: one, because it takes time to check a password."""
    email, password = jobhub_up.administrator()
    with Client(jobhub_up.url, email=email, password=password) as client:
        yield client


@pytest.fixture
def account(account_maker: Client) -> tuple[str, str]:
    """E-mail address and password of a user of the test's own."""
    email = f"user{next(_numbers)}@example.org"
    account_maker.create_user(email, PASSWORD)
    return email, PASSWORD


@pytest.fixture
def proxy(jobhub_up: Service) -> Iterator[Front]:
    """What stands between the client and the service."""
    with front(int(jobhub_up.url.rpartition(":")[2])) as started:
        yield started
