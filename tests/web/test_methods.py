"""Methods: every route answers those it doesn't have with a 405 and a complete `Allow`, and HEAD where there is GET."""

import asyncio
import re

import pytest

from jobhub.app import create_litestar
from tests import factories

UNKNOWN_ID = "01890a5d-0000-7000-8000-0000deadbeef"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO")


@pytest.fixture
def routes(dsn, registry) -> dict[str, set[str]]:
    """Each path, with some id in it, and the methods it has."""
    found: dict[str, set[str]] = {}
    for route in create_litestar(dsn=dsn, keys=factories.KEYS, registry=registry).routes:
        path = re.sub(r"\{[^}]*\}", UNKNOWN_ID, route.path_format)
        found.setdefault(path, set()).update(getattr(route, "methods", ()))
    return {path: methods | ({"HEAD"} if "GET" in methods else set()) for path, methods in found.items()}


async def test_every_route_refuses_other_methods_and_says_which_it_has(api, admin, routes):
    wrong = []
    for path, methods in routes.items():
        for method in set(METHODS) - methods:
            response = await api.call(admin, method, path)
            allowed = set(response.headers.get("allow", "").replace(" ", "").split(","))
            if response.status_code != 405 or allowed != methods or response.json().get("code") != "method_not_allowed":
                wrong.append(f"{method} {path}: {response.status_code}, {sorted(allowed)} instead of {sorted(methods)}")

    assert not wrong, "\n".join(wrong)
    assert len(routes) > 20


async def test_head_is_there_where_get_is_and_has_no_body(api, admin, routes):
    wrong = []
    for path in (path for path, methods in routes.items() if "GET" in methods):
        async with asyncio.timeout(10):
            head = await api.call(admin, "HEAD", path)
        if head.status_code == 405 or head.content:
            wrong.append(f"{path}: {head.status_code} {head.content[:80]!r}")

    assert not wrong, "\n".join(wrong)


async def test_head_opens_nothing_that_get_does_not(api, routes):
    with_get = [path for path, methods in routes.items() if "GET" in methods]
    # A page leads to where one signs in.
    public = {path for path in with_get if (await api.call(None, "HEAD", path)).status_code not in (401, 303)}

    assert all(re.match(r"/(livez|readyz|metrics|docs|openapi|ui/sign-in|ui/static)", path) for path in public), public
