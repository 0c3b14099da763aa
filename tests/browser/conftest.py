"""One `jobhub up` for all browser tests of a process, and a browser for each module: Playwright's loop must not outlive it."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.acceptance.service import Service, service
from tests.browser.chromium import MISSING, chromium, launched
from tests.browser.people import Person, make_account, sign_in

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            if chromium() is None:
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="session")
def jobhub() -> Iterator[Service]:
    with service(JOBHUB_STREAMS_PER_USER="50") as started:
        yield started


@pytest.fixture(scope="session")
def admin_api(jobhub: Service) -> httpx.Client:
    return jobhub.log_in(*jobhub.administrator())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def new_person(browser: Browser, jobhub: Service, admin_api: httpx.Client) -> Iterator[Callable[..., Person]]:
    """Makes people who are signed in; what their pages should not have done fails the test at its end."""
    people: list[Person] = []

    def make(role: str = "user", **options) -> Person:
        email = f"person{next(_numbers)}@example.org"
        api = make_account(jobhub, admin_api, email, role)
        people.append(sign_in(browser, jobhub, email, api, **options))
        return people[-1]

    yield make
    for person in people:
        person.watched.close()
        assert person.watched.bad == []


@pytest.fixture
def person(new_person: Callable[..., Person]) -> Person:
    return new_person()


@pytest.fixture
def administrator(new_person: Callable[..., Person]) -> Person:
    return new_person("admin")
