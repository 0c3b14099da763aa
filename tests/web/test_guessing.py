"""Guesses sent all at once, by way of two APIs: no more are looked at than the limits allow, and nobody is locked out for good."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import argon2
import httpx
import pytest

from jobhub.app import create_litestar
from jobhub.services import guessing
from jobhub.services.passwords import Passwords
from jobhub.web.edge import Edge
from tests import factories
from tests.conftest import running_lifespan
from tests.factories import Api, make_user

CHEAP_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(factories.PASSWORD)


@asynccontextmanager
async def api_with(dsn, registry, *, per_address=100, client="192.0.2.1"):
    """An API of its own, asked from that address."""
    litestar = create_litestar(dsn=dsn, keys=factories.KEYS, registry=registry, login_failures_per_address=per_address)
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            yield Api(http)


@pytest.fixture
def looked_at(monkeypatch):
    """The passwords that were compared with a hash."""
    seen = []

    async def verify(self, password, password_hash):
        seen.append(password)
        await asyncio.sleep(0.05)  # as long as no other can have been counted after it
        return password == factories.PASSWORD and password_hash is not None

    monkeypatch.setattr(Passwords, "verify", verify)
    return seen


@pytest.fixture
def carol(sql):
    return make_user(sql, "carol@example.org", password_hash=CHEAP_HASH)


def make_failures(sql, failures, *, network="192.0.2.1/32"):
    """So many of late for Carol's account."""
    sql.execute(
        "INSERT INTO login_failures_by_account_and_network VALUES (sha256('carol@example.org'), %s, %s, now())", [network, failures]
    )


async def log_in(api, email="carol@example.org", password="a wrong guess", **headers):
    return await api.call(None, "POST", "/auth/token", {"email": email, "password": password}, headers=headers)


async def test_of_many_accounts_tried_at_once_no_more_are_looked_at_than_the_address_may(dsn, registry, sql, looked_at):
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(api_with(dsn, registry, per_address=20)) for _ in range(2)]
        answers = await asyncio.gather(*(log_in(apis[i % 2], email=f"user{i}@example.org") for i in range(50)))

    codes = [answer.status_code for answer in answers]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (codes.count(401), codes.count(429), len(looked_at)) == (20, 30, 20)
    assert {answer.json()["code"] for answer in refused} == {"too_many_attempts"}
    assert all(3500 < int(answer.headers["retry-after"]) <= 3600 for answer in refused)
    # What was refused is counted nowhere.
    assert sql.execute("SELECT failures FROM login_failures_by_network").fetchall() == [(20,)]
    assert sql.execute("SELECT count(*) FROM login_failures").fetchone() == (20,)


async def test_of_many_guesses_at_once_for_one_account_five_are_looked_at(dsn, registry, carol, looked_at):
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(api_with(dsn, registry)) for _ in range(2)]
        answers = await asyncio.gather(*(log_in(apis[i % 2]) for i in range(30)))

    codes = [answer.status_code for answer in answers]
    waited = int(time.monotonic() - started)  # each second may let one more through, where the machine is slow
    assert 5 <= len(looked_at) <= 5 + waited
    assert (codes.count(401), codes.count(429)) == (len(looked_at), 30 - len(looked_at))


async def test_the_right_password_among_guesses_is_found_no_sooner(dsn, registry, carol, looked_at, sql):
    make_failures(sql, 8)

    async with api_with(dsn, registry) as api:
        answer = await log_in(api, password=factories.PASSWORD)

    assert (answer.status_code, looked_at) == (429, [])


@pytest.mark.parametrize("client", ["192.0.2.2", "2001:db8::1", ""])
async def test_who_guesses_elsewhere_does_not_make_the_owner_wait(dsn, registry, carol, sql, client):
    make_failures(sql, 1000)

    async with api_with(dsn, registry, client=client) as owners, api_with(dsn, registry) as guesser:
        codes = [(await log_in(api, password=factories.PASSWORD)).status_code for api in (guesser, owners, guesser)]

    assert codes == [429, 200, 429]


async def test_clients_without_an_address_wait_together(dsn, registry, carol, sql):
    make_failures(sql, 8, network="0.0.0.0/0")

    async with api_with(dsn, registry, client="") as api:
        assert (await log_in(api, password=factories.PASSWORD)).status_code == 429


async def test_of_guesses_from_many_networks_at_once_no_more_are_looked_at_than_the_account_may(
    dsn, registry, carol, looked_at, sql, monkeypatch
):
    monkeypatch.setattr(guessing, "FAILURES_PER_ACCOUNT", 7)
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(api_with(dsn, registry, client=f"192.0.2.{n}")) for n in range(3)]
        answers = await asyncio.gather(*(log_in(apis[i % 3]) for i in range(12)))
        owners = await stack.enter_async_context(api_with(dsn, registry, client="198.51.100.1"))
        locked = await log_in(owners, password=factories.PASSWORD)
        sql.execute("UPDATE login_failures SET since = now() - interval '1 hour'")
        later = await log_in(owners, password=factories.PASSWORD)

    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429), len(looked_at)) == (7, 5, 8)
    assert (locked.status_code, locked.json()["code"], later.status_code) == (429, "too_many_attempts", 200)
    assert 3500 < int(locked.headers["retry-after"]) <= 3600
    # What was refused is counted nowhere.
    [counted] = sql.execute("SELECT sum(failures) FROM login_failures_by_account_and_network").fetchone()
    assert counted == 7


async def test_a_success_leaves_the_failures_of_other_networks_counted(dsn, registry, carol, sql):
    make_failures(sql, 3)
    sql.execute("INSERT INTO login_failures VALUES (sha256('carol@example.org'), 3, now())")

    async with api_with(dsn, registry, client="192.0.2.2") as api:
        codes = [(await log_in(api, password=password)).status_code for password in ("wrong", factories.PASSWORD)]

    assert codes == [401, 200]
    assert sql.execute("SELECT network::text, failures FROM login_failures_by_account_and_network").fetchall() == [("192.0.2.1/32", 3)]
    assert sql.execute("SELECT failures FROM login_failures").fetchall() == [(4,)]


async def test_nobody_is_locked_out_for_good(dsn, registry, carol, sql):
    async with api_with(dsn, registry, per_address=1) as api:
        await log_in(api, email="other@example.org")
        locked = await log_in(api, password=factories.PASSWORD)
        sql.execute("UPDATE login_failures_by_network SET since = now() - interval '1 hour'")
        later = await log_in(api, password=factories.PASSWORD)

    assert (locked.status_code, later.status_code) == (429, 200)


async def test_a_success_takes_back_its_own_count_only(dsn, registry, carol, sql):
    async with api_with(dsn, registry, per_address=2) as api:
        codes = [(await log_in(api, email="other@example.org")).status_code]
        codes += [(await log_in(api, password=factories.PASSWORD)).status_code for _ in range(3)]
        codes += [(await log_in(api, email=email)).status_code for email in ("second@example.org", "third@example.org")]

    assert codes == [401, 200, 200, 200, 401, 429]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"])
async def test_no_header_makes_another_client(dsn, registry, sql, header):
    async with api_with(dsn, registry, per_address=2) as api:
        answers = [await log_in(api, email=f"user{n}@example.org", **{header: f"for=198.51.100.{n}"}) for n in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


NETWORKS = {
    "192.0.2.1": "192.0.2.1/32",
    "::ffff:192.0.2.1": "192.0.2.1/32",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "fe80::1%eth0": "fe80::/64",
}


@pytest.mark.parametrize("client", NETWORKS)
async def test_a_client_is_an_address_or_the_network_it_was_given(dsn, registry, sql, client):
    async with api_with(dsn, registry, client=client) as api:
        await log_in(api)

    assert sql.execute("SELECT network::text FROM login_failures_by_network").fetchall() == [(NETWORKS[client],)]


@pytest.mark.parametrize(("per_address", "client"), [(0, "192.0.2.1"), (1, "")])
async def test_without_a_limit_or_an_address_nothing_is_counted(dsn, registry, sql, per_address, client):
    async with api_with(dsn, registry, per_address=per_address, client=client) as api:
        codes = [(await log_in(api, email=f"user{n}@example.org")).status_code for n in range(2)]

    assert codes == [401, 401]
    assert sql.execute("SELECT FROM login_failures_by_network").fetchall() == []
