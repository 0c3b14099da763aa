"""People with browsers."""

import pytest

from tests.web.ui.pages import make_person, signed_in


@pytest.fixture
def carol(sql):
    return make_person(sql, "carol@example.org")


@pytest.fixture
def root(sql):
    return make_person(sql, "root@example.org", role="admin")


@pytest.fixture
async def browser(api, carol):
    """Carol's."""
    browser = await signed_in(api, carol)
    yield browser
    await browser.client.aclose()


@pytest.fixture
async def root_browser(api, root):
    """The administrator's."""
    browser = await signed_in(api, root)
    yield browser
    await browser.client.aclose()
