"""jobhub inside another Litestar application: its own users, its own sessions, one process."""

import asyncio
import importlib
import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from litestar import Litestar, Request, get, post
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import FromQuery

from jobhub.domain.errors import OperatorError
from jobhub.litestar import HostUser, JobhubPlugin
from tests import factories
from tests.conftest import running_lifespan

SECRET = "a secret of the host's, long enough for us"


@get("/")
async def home() -> str:
    return "the host"


@post("/login")
async def login(request: Request, email: FromQuery[str]) -> None:
    request.set_session({"email": email})


async def who_asks(connection) -> HostUser | None:
    email = connection.session.get("email")
    return HostUser(email=email, is_admin=email == "boss@example.org") if email else None


def host(dsn: str, **options) -> Litestar:
    plugin = JobhubPlugin(dsn=dsn, secret_key=SECRET, user=who_asks, handlers=["docs.examples.import_csv"], **options)
    session = CookieBackendConfig(secret=b"0123456789abcdef0123456789abcdef"[:32], secure=False)
    return Litestar(route_handlers=[home, login], middleware=[session.middleware], plugins=[plugin])


@asynccontextmanager
async def browser(litestar: Litestar, email: str | None = None):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(litestar), base_url="http://host") as client:
        if email:
            assert (await client.post("/login", params={"email": email})).status_code == 201
        yield client


@pytest.fixture
async def litestar(dsn):
    litestar = host(dsn)
    async with running_lifespan(litestar.lifespan):
        yield litestar


SUBMISSION = {"job_type": "contacts.import", "title": "Import", "parameters": {"file": "list.csv"}}


async def test_a_user_of_the_host_submits_and_sees_their_own_jobs_only(litestar, sql):
    async with browser(litestar, "ada@example.org") as ada, browser(litestar, "bob@example.org") as bob:
        submitted = await ada.post("/jobhub/jobs", json=SUBMISSION)
        job = submitted.json()

        assert (submitted.status_code, submitted.headers["location"]) == (201, f"/jobhub/jobs/{job['id']}")
        assert (await ada.get(submitted.headers["location"])).json()["title"] == "Import"
        assert (await ada.get("/jobhub/jobs")).json()["total"] == 1
        assert (await bob.get(f"/jobhub/jobs/{job['id']}")).status_code == 404
        assert (await bob.get("/jobhub/jobs")).json()["total"] == 0
        assert (await ada.get("/jobhub/auth/me")).json()["email"] == "ada@example.org"
    assert factories.job_row(sql, job["id"]).job_type == "contacts.import"


async def test_who_is_not_logged_in_to_the_host_gets_401_in_our_words(litestar):
    async with browser(litestar) as nobody:
        refused = await nobody.get("/jobhub/jobs")

        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "Log in to the application first."
        assert (await nobody.get("/")).text == "the host"
        assert (await nobody.get("/jobs")).status_code == 404


async def test_the_host_says_who_is_an_administrator(litestar):
    async with browser(litestar, "boss@example.org") as boss, browser(litestar, "ada@example.org") as ada:
        assert (await boss.get("/jobhub/jobs/admin/queue-status")).status_code == 200
        assert (await ada.get("/jobhub/jobs/admin/queue-status")).status_code == 403


async def test_an_account_is_made_once_however_many_requests_come_first(litestar, sql):
    async with browser(litestar, "ada@example.org") as ada:
        answers = await asyncio.gather(*(ada.get("/jobhub/jobs") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    users = sql.execute("SELECT email, role, password_hash FROM users").fetchall()
    assert users == [("ada@example.org", "user", "$argon2id$no-password-fits")]


async def test_nobody_logs_in_by_password_to_an_account_of_the_host(litestar):
    async with browser(litestar, "ada@example.org") as ada:
        await ada.get("/jobhub/jobs")
        refused = await ada.post("/jobhub/auth/token", json={"email": "ada@example.org", "password": "no-password-fits"})

    assert refused.status_code == 401


async def test_a_disabled_account_stays_outside(litestar, sql):
    async with browser(litestar, "ada@example.org") as ada:
        await ada.get("/jobhub/jobs")
        sql.execute("UPDATE users SET disabled_at = now()")

        assert (await ada.get("/jobhub/jobs")).status_code == 401


async def test_the_page_of_calls_and_every_error_are_those_of_the_service(litestar):
    async with browser(litestar, "ada@example.org") as ada:
        document = (await ada.get("/jobhub/openapi.json")).json()
        refused = await ada.post("/jobhub/jobs", json={**SUBMISSION, "colour": "red"})
        unknown = await ada.get("/jobhub/nothing")
        head = await ada.head("/jobhub/jobs")

    assert "/jobs" in document["paths"]
    assert document["servers"] == [{"url": "/jobhub"}]
    assert refused.json()["instance"] == "/jobhub/jobs"
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/colour")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert (head.status_code, head.content) == (200, b"")


async def test_the_page_of_calls_loads_its_assets_and_calls_the_api_where_it_is_mounted(litestar):
    async with browser(litestar) as nobody:
        page = await nobody.get("/jobhub/docs")
        addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)

        assert len(addresses) >= 3
        assert {address: (await nobody.get(address)).status_code for address in addresses} == dict.fromkeys(addresses, 200)
        assert '"servers":[{"url":"/jobhub"}]' in page.text


async def test_the_pages_are_not_there_for_their_accounts_are_not_the_hosts(litestar):
    async with browser(litestar, "ada@example.org") as ada:
        assert (await ada.get("/jobhub/ui")).status_code == 404
        assert (await ada.get("/jobhub/")).status_code == 404


def test_a_short_secret_and_a_missing_module_are_told_at_the_start(dsn):
    with pytest.raises(OperatorError, match="secret_key must have at least 32 bytes"):
        JobhubPlugin(dsn=dsn, secret_key="short", user=who_asks)
    with pytest.raises(OperatorError, match=r"no\.such\.module"):
        JobhubPlugin(dsn=dsn, secret_key=SECRET, user=who_asks, handlers=["no.such.module"])


async def test_the_application_of_the_guide_runs(dsn, tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "embedding.md").read_text()
    (tmp_path / "host_of_the_guide.py").write_text(re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1])
    monkeypatch.syspath_prepend(tmp_path)
    litestar = importlib.import_module("host_of_the_guide").create_app(dsn, SECRET)

    async with running_lifespan(litestar.lifespan), browser(litestar) as nobody:
        assert (await nobody.get("/")).text == "Hello"
        assert (await nobody.get("/jobhub/jobs")).status_code == 401
