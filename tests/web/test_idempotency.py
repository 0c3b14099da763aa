"""One Idempotency-Key makes one job, whatever is repeated and however many at once."""

import asyncio

import pytest

from tests.factories import job_row

BODY = {"job_type": "test.echo", "title": "pay the bill", "parameters": {"value": {"a": 1, "b": [2]}}}


async def submit(api, user, key, body=BODY):
    return await api.call(user, "POST", "/jobs", body, headers={"Idempotency-Key": key})


async def test_a_repeated_submit_is_answered_with_the_first_job_as_it_is_now(api, alice, sql):
    first = await submit(api, alice, "k-1")
    await api.call(alice, "POST", f"/jobs/{first.json()['id']}/cancel")

    again = await submit(api, alice, "k-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == f"/jobs/{first.json()['id']}"
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "cancelled")
    assert sql.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


async def test_the_same_json_value_in_another_notation_is_the_same_body(api, alice):
    first = await submit(api, alice, "k")
    reordered = b'{ "title":"pay the bill","parameters":{"value":{"b":[2], "a":1}}, "job_type":"test.\\u0065cho" }'

    again = await submit(api, alice, "k", reordered)

    assert again.json()["id"] == first.json()["id"]


async def test_another_body_under_the_same_key_is_refused(api, alice):
    await submit(api, alice, "k")

    other = await submit(api, alice, "k", BODY | {"title": "pay another bill"})

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_keys_of_different_users_never_meet(api, alice, bob):
    answers = [await submit(api, user, "k") for user in (alice, bob)]

    assert [answer.status_code for answer in answers] == [201, 201]


async def test_a_refused_request_does_not_use_up_its_key(api, alice):
    refused = await submit(api, alice, "k", BODY | {"title": ""})

    accepted = await submit(api, alice, "k")

    assert (refused.status_code, accepted.status_code) == (400, 201)


async def test_a_key_can_be_used_anew_after_a_day(api, alice, sql):
    first = await submit(api, alice, "k")
    sql.execute("UPDATE idempotency_keys SET created_at = now() - interval '2 d', expires_at = now() - interval '1 s'")

    second = await submit(api, alice, "k", BODY | {"title": "next month's bill"})

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_fifty_at_once_make_one_job_with_one_delivery(api, alice, sql):
    answers = await asyncio.gather(*(submit(api, alice, "k") for _ in range(50)))

    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert [answer.status_code for answer in answers].count(201) == 1
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sql.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    assert sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == [(job_row(sql, answers[0].json()["id"]).delivery_id,)]


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 201, "a\tb"])
async def test_what_is_no_key_is_refused(api, alice, key):
    answer = await api.call(alice, "POST", "/jobs", BODY, headers={"Idempotency-Key": key.encode()})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "#Idempotency-Key"


async def test_a_scheduled_job_with_a_key_is_stored_without_a_delivery(api, alice, sql):
    answer = await submit(api, alice, "k", BODY | {"scheduled_for": "2099-01-01T00:00:00Z"})
    assert answer.status_code == 400  # more than a year ahead

    answer = await submit(api, alice, "k", BODY | {"scheduled_for": "2027-01-01T00:00:00+01:00"})

    assert answer.status_code == 201
    assert job_row(sql, answer.json()["id"]).deliver_at is not None
    assert sql.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,)
