"""Limits as their users meet them: 429, when to come back, and what GET /auth/me says."""

from contextlib import asynccontextmanager

import httpx
import pytest

from jobhub.app import create_litestar
from jobhub.domain.limits import NO_LIMITS, Limits
from jobhub.web.edge import Edge
from tests.conftest import running_lifespan
from tests.factories import KEYS, Api

BODY = {"job_type": "test.echo", "title": "a job"}


@pytest.fixture
def open_api(dsn, registry):
    """The application with the given limits."""

    @asynccontextmanager
    async def open_api(limits):
        litestar = create_litestar(dsn=dsn, keys=KEYS, registry=registry, limits=limits)
        async with running_lifespan(litestar.lifespan):
            transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                yield Api(client)

    return open_api


@pytest.mark.parametrize(
    ("limits", "code", "detail"),
    [
        (Limits(submits_per_minute=2), "submit_rate_exceeded", "You may submit 2 jobs a minute: try again in "),
        (Limits(pending_jobs=2), "too_many_pending_jobs", "You may have 2 jobs pending: "),
    ],
)
@pytest.mark.parametrize("who", ["alice", "admin"])
async def test_one_too_many_is_a_429_that_says_which_limit_and_when_to_come_back(open_api, request, limits, code, detail, who):
    user = request.getfixturevalue(who)
    async with open_api(limits) as api:
        await api.submit(user)
        await api.submit(user)

        refused = await api.call(user, "POST", "/jobs", BODY)

    assert (refused.status_code, refused.json()["code"]) == (429, code)
    assert refused.json()["detail"].startswith(detail)
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_a_repetition_is_answered_at_the_limit(open_api, alice):
    async with open_api(Limits(submits_per_minute=1)) as api:
        first, again, other = [
            await api.call(alice, "POST", "/jobs", BODY, headers={"Idempotency-Key": key}) for key in ("k", "k", "other")
        ]

    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 429]
    assert again.json()["id"] == first.json()["id"]


async def test_a_limit_is_one_users(open_api, alice, bob):
    async with open_api(Limits(submits_per_minute=1, pending_jobs=1)) as api:
        await api.submit(alice)
        await api.submit(bob)


async def test_me_shows_limits_and_usage(open_api, alice, bob):
    async with open_api(Limits(submits_per_minute=5, pending_jobs=3, running_jobs=2)) as api:
        await api.submit(bob)
        job = await api.submit(alice)
        await api.submit(alice)
        await api.call(alice, "POST", f"/jobs/{job['id']}/cancel")

        me = (await api.call(alice, "GET", "/auth/me")).json()

    assert me["limits"] == {"submits_per_minute": 5, "pending_jobs": 3, "running_jobs": 2}
    assert me["usage"] == {"submits_per_minute": 2, "pending_jobs": 1, "running_jobs": 0}


async def test_without_limits_me_shows_null_and_the_usage_all_the_same(open_api, alice):
    async with open_api(NO_LIMITS) as api:
        await api.submit(alice)

        me = (await api.call(alice, "GET", "/auth/me")).json()

    assert me["limits"] == {"submits_per_minute": None, "pending_jobs": None, "running_jobs": None}
    assert me["usage"] == {"submits_per_minute": 1, "pending_jobs": 1, "running_jobs": 0}
