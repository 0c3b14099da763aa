"""Tickets for event streams: each opens one, once and soon, and opens nothing else."""

import asyncio
import hashlib

import pytest

from jobhub.store import tickets
from tests.factories import make_job, token


@pytest.fixture
async def job_id(alice, sql):
    return make_job(sql, alice, status="completed")


async def ticket_of(api, user):
    response = await api.call(user, "POST", "/auth/ticket")
    assert response.status_code == 200, response.text
    return response.json()["ticket"]


async def test_a_ticket_opens_one_stream_once(api, alice, job_id):
    answer = await api.call(alice, "POST", "/auth/ticket")
    ticket = answer.json()["ticket"]

    first = await api.client.get(f"/jobs/{job_id}/events?ticket={ticket}")
    second = await api.client.get(f"/jobs/{job_id}/events?ticket={ticket}")

    assert answer.json().keys() == {"ticket", "expires_in"}
    assert (first.status_code, first.text.count("event: job")) == (200, 1)
    assert (second.status_code, second.json()["code"]) == (401, "invalid_ticket")


async def test_of_many_at_once_one_gets_in(api, alice, job_id):
    ticket = await ticket_of(api, alice)

    answers = await asyncio.gather(*(api.client.get(f"/jobs/{job_id}/events?ticket={ticket}") for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19


async def test_a_ticket_is_its_users(api, bob, job_id):
    response = await api.client.get(f"/jobs/{job_id}/events?ticket={await ticket_of(api, bob)}")

    assert response.status_code == 404


async def test_only_its_hash_is_kept(api, alice, sql):
    ticket = await ticket_of(api, alice)

    rows = sql.execute("SELECT * FROM stream_tickets").fetchall()

    assert [row.secret_sha256 for row in rows] == [hashlib.sha256(ticket.encode()).digest()]
    assert ticket not in str(rows)


@pytest.mark.parametrize(
    "change",
    ["UPDATE stream_tickets SET expires_at = now()", "UPDATE users SET disabled_at = now()"],
    ids=["expired", "of a disabled user"],
)
async def test_a_ticket_is_refused(api, alice, sql, job_id, change):
    ticket = await ticket_of(api, alice)
    sql.execute(change)

    response = await api.client.get(f"/jobs/{job_id}/events?ticket={ticket}")

    assert (response.status_code, response.json()["code"]) == (401, "invalid_ticket")
    assert "www-authenticate" in response.headers


@pytest.mark.parametrize("ticket", ["x", "%00", "%ff", "%F0%9F%8E%AB", "%ED%A0%80", "A" * 20_000])
async def test_nonsense_is_no_ticket(api, job_id, ticket):
    assert (await api.client.get(f"/jobs/{job_id}/events?ticket={ticket}")).status_code == 401


async def test_a_ticket_opens_nothing_but_streams(api, alice, sql, job_id):
    for path in ("/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/attempts", "/auth/me", "/job-types"):
        assert (await api.client.get(f"{path}?ticket={await ticket_of(api, alice)}")).status_code == 401, path
        assert (await api.call(alice, "GET", f"{path}?ticket=x")).status_code == 400, path
    assert (await api.client.get(f"/jobs/{job_id}/events?access_token={token(alice)}")).status_code == 401


async def test_a_ticket_beside_a_token_or_another_one_is_refused_and_not_used_up(api, alice, job_id):
    ticket = await ticket_of(api, alice)
    path = f"/jobs/{job_id}/events?ticket={ticket}"

    refused = [await api.call(alice, "GET", path), await api.client.get(f"{path}&ticket=x")]

    assert [answer.status_code for answer in refused] == [401, 401]
    assert (await api.client.get(path)).status_code == 200


async def test_an_empty_ticket_is_none(api, alice, job_id):
    assert (await api.client.get(f"/jobs/{job_id}/events?ticket=")).status_code == 401
    assert (await api.call(alice, "GET", f"/jobs/{job_id}/events?ticket=")).status_code == 400


async def test_unused_tickets_are_forgotten_once_they_are_void(api, alice, sql, db):
    expired, fresh = await ticket_of(api, alice), await ticket_of(api, alice)
    fingerprint = hashlib.sha256(expired.encode()).digest()
    sql.execute("UPDATE stream_tickets SET expires_at = now() - interval '1 s' WHERE secret_sha256 = %s", [fingerprint])

    assert await tickets.remove_expired_tickets(db) == 1
    left = [row.secret_sha256 for row in sql.execute("SELECT secret_sha256 FROM stream_tickets").fetchall()]
    assert left == [hashlib.sha256(fresh.encode()).digest()]
