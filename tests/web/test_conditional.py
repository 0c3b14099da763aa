"""ETags: on every answer that is one job, and what If-None-Match does with them."""

import pytest

from jobhub.domain.jobs import JobStatus
from tests.factories import make_job, make_worker, token


async def test_every_answer_that_is_one_job_has_the_version_as_its_tag(api, alice, admin, sql):
    headers = {"idempotency-key": "k"}
    body = {"job_type": "test.echo", "title": "x"}
    failed = make_job(sql, alice, status=JobStatus.FAILED, version=6)
    job_id = (await api.submit(alice))["id"]

    answers = [
        await api.call(alice, "POST", "/jobs", body, headers=headers),
        await api.call(alice, "POST", "/jobs", body, headers=headers),
        await api.call(alice, "GET", f"/jobs/{job_id}"),
        await api.call(alice, "POST", f"/jobs/{job_id}/cancel"),
        await api.call(alice, "POST", f"/jobs/{failed}/retry"),
        await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete"),
        await api.call(admin, "GET", f"/jobs/{job_id}"),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200, 200]
    assert [answer.headers["etag"] for answer in answers] == [f'"{answer.json()["version"]}"' for answer in answers]
    assert [answer.headers["etag"] for answer in answers] == ['"1"', '"1"', '"1"', '"2"', '"7"', '"3"', '"3"']


async def read(api, user, job_id, *tags, method="GET"):
    return await api.client.request(
        method, f"/jobs/{job_id}", headers=[("authorization", f"Bearer {token(user)}"), *(("if-none-match", tag) for tag in tags)]
    )


@pytest.mark.parametrize(
    "tags",
    [
        ('"3"',),
        ('W/"3"',),
        ("*",),
        (" * ",),
        ('"1", "3"',),
        ('"1","3"',),
        ('W/"x" ,, "3",',),
        ('"a,b", "3"',),
        ('"1"', '"3"'),
    ],
)
async def test_the_present_version_is_not_sent_again(api, alice, sql, tags):
    job_id = make_job(sql, alice, version=3)

    response = await read(api, alice, job_id, *tags)

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"3"'
    assert "content-length" not in response.headers
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("tags", [('"2"',), ('"33"',), ('""',), ('W/"4"',), ('"1", "2"',), ('"03"',), ('"*"',)])
async def test_any_other_version_is_answered_with_the_job(api, alice, sql, tags):
    job_id = make_job(sql, alice, version=3)

    response = await read(api, alice, job_id, *tags)

    assert (response.status_code, response.json()["version"]) == (200, 3)


@pytest.mark.parametrize("tags", [("3",), ('"3',), ("",), ('w/"3"',), ('"3" "4"',), ('*, "3"',), ("*", "*"), ('"a b"',), ("W/",)])
async def test_what_is_no_list_of_tags_is_a_400(api, alice, sql, tags):
    job_id = make_job(sql, alice, version=3)

    response = await read(api, alice, job_id, *tags)

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == ["#If-None-Match"]


async def test_head_is_conditional_too(api, alice, sql):
    job_id = make_job(sql, alice)

    known, new = await read(api, alice, job_id, '"1"', method="HEAD"), await read(api, alice, job_id, '"2"', method="HEAD")

    assert [(answer.status_code, answer.content, answer.headers["etag"]) for answer in (known, new)] == [
        (304, b"", '"1"'),
        (200, b"", '"1"'),
    ]


async def test_a_job_of_somebody_else_is_a_404_whatever_is_known_of_it(api, alice, bob, sql):
    job_id = make_job(sql, alice)

    answers = [await read(api, bob, job_id, tag) for tag in ("*", '"1"', '"2"')]

    assert [(answer.status_code, "etag" in answer.headers) for answer in answers] == [(404, False)] * 3


async def test_the_place_in_the_queue_moves_under_the_same_tag(api, alice, bob, sql):
    first, second = make_job(sql, bob), make_job(sql, alice)
    make_worker(sql)
    before = await read(api, alice, second)
    await api.call(bob, "POST", f"/jobs/{first}/cancel")

    after = await read(api, alice, second)

    assert [answer.json()["queue"]["position"] for answer in (before, after)] == [2, 1]
    assert before.headers["etag"] == after.headers["etag"]
