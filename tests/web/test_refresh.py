"""Refresh tokens under races: whatever ends a login also ends the token that is being handed out at that moment."""

import asyncio
from contextlib import asynccontextmanager

import argon2
import pytest

from jobhub.services.passwords import Passwords
from jobhub.store import users as store
from tests import factories
from tests.factories import make_user
from tests.worker.attempts import until

CHEAP_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(factories.PASSWORD)
NEW_PASSWORD = "another good password"
BLOCKED = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def carol(sql):
    return make_user(sql, "carol@example.org", password_hash=CHEAP_HASH)


async def log_in(api, password=factories.PASSWORD):
    return await api.call(None, "POST", "/auth/token", {"email": "carol@example.org", "password": password})


async def refresh(api, token):
    return await api.call(None, "POST", "/auth/refresh", {"refresh_token": token})


@asynccontextmanager
async def handing_out(monkeypatch, request):
    """A request that is stopped when its new token is about to be put on record, and goes on after the block."""
    arrived, go_on, real = asyncio.Event(), asyncio.Event(), store.add_refresh_token

    async def add_refresh_token(db, **fields):
        arrived.set()
        await go_on.wait()
        await real(db, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_refresh_token", add_refresh_token)
        asking = asyncio.create_task(request)
        async with asyncio.timeout(10):
            await arrived.wait()
        yield asking
        go_on.set()
        await asyncio.wait({asking})


ENDS = {
    "log out": lambda token, carol: ("POST", "/auth/logout", {"refresh_token": token}),
    "new password": lambda token, carol: ("PATCH", f"/users/{carol.id}", {"password": NEW_PASSWORD}),
    "disable": lambda token, carol: ("PATCH", f"/users/{carol.id}", {"disabled": True}),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_a_login_ends_the_token_that_is_being_handed_out(api, carol, admin, sql, monkeypatch, end):
    token = (await log_in(api)).json()["refresh_token"]

    async with handing_out(monkeypatch, refresh(api, token)) as refreshing:
        ending = asyncio.create_task(api.call(admin, *ENDS[end](token, carol)))
        await until(lambda: sql.execute(BLOCKED).rowcount)
    ended, refreshed = await ending, await refreshing

    assert (ended.status_code in (200, 204), refreshed.status_code) == (True, 200)
    sql.execute("UPDATE users SET disabled_at = NULL")
    assert (await refresh(api, refreshed.json()["refresh_token"])).status_code == 401
    assert sql.execute("SELECT FROM refresh_tokens WHERE revoked_at IS NULL").fetchall() == []


@pytest.mark.parametrize("end", ["new password", "disable"])
async def test_a_login_in_flight_does_not_outlive_the_change(api, carol, admin, sql, monkeypatch, end):
    async with handing_out(monkeypatch, log_in(api)) as logging_in:
        ending = asyncio.create_task(api.call(admin, *ENDS[end]("", carol)))
        await until(lambda: sql.execute(BLOCKED).rowcount)
    await ending

    sql.execute("UPDATE users SET disabled_at = NULL")
    assert (await refresh(api, (await logging_in).json()["refresh_token"])).status_code == 401


@pytest.mark.parametrize("end", ["new password", "disable"])
async def test_a_password_that_is_being_checked_while_it_changes_opens_nothing(api, carol, admin, sql, monkeypatch, end):
    checked, go_on, real = asyncio.Event(), asyncio.Event(), Passwords.verify

    async def verify(self, password, password_hash):
        is_right = await real(self, password, password_hash)
        checked.set()
        await go_on.wait()
        return is_right

    monkeypatch.setattr(Passwords, "verify", verify)
    logging_in = asyncio.create_task(log_in(api))
    async with asyncio.timeout(10):
        await checked.wait()

    changed = await api.call(admin, *ENDS[end]("", carol))
    go_on.set()

    assert (changed.status_code, (await logging_in).status_code) == (200, 401)
    assert sql.execute("SELECT FROM refresh_tokens").fetchall() == []


async def test_a_hash_that_was_renewed_meanwhile_costs_nobody_their_login(api, carol, sql):
    answers = await asyncio.gather(*(log_in(api) for _ in range(3)))

    assert [answer.status_code for answer in answers] == [200] * 3


async def test_of_two_uses_at_once_one_gets_a_pair_and_the_reuse_ends_it(api, carol, sql, monkeypatch):
    """Nobody can tell a client that asked twice from a thief: the loser is refused, and the winner's pair ends with the login."""
    token = (await log_in(api)).json()["refresh_token"]

    async with handing_out(monkeypatch, refresh(api, token)) as first:
        second = asyncio.create_task(refresh(api, token))
        await until(lambda: sql.execute(BLOCKED).rowcount)
    winner, loser = await first, await second

    assert (winner.status_code, loser.status_code, loser.json()["code"]) == (200, 401, "invalid_refresh_token")
    assert (await refresh(api, winner.json()["refresh_token"])).status_code == 401
