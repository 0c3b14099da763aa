"""How bodies come in: content types, encodings, sizes."""

import asyncio
import inspect
import json

import pytest

from jobhub.app import create_litestar
from tests.factories import KEYS, token

JOB = {"job_type": "test.echo", "title": "a job"}
KIB = 1024


def with_parameters_of(size: int) -> bytes:
    """A submission whose parameters, as they are sent, have exactly that many bytes."""
    frame = '{"value": ""}'
    parameters = '{"value": "' + "ä" * ((size - len(frame)) // 2) + "x" * ((size - len(frame)) % 2) + '"}'
    assert len(parameters.encode()) == size
    return f'{{"job_type": "test.echo", "title": "a job", "parameters": {parameters}}}'.encode()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; charset=UTF-8",
    ],
)
async def test_json_in_utf8_is_accepted(api, alice, content_type):
    response = await api.call(alice, "POST", "/jobs", JOB, headers={"content-type": content_type})

    assert response.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/msgpack"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/problem+json"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "br"},
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/auth/token", "/auth/logout"])
async def test_anything_else_is_a_415(api, alice, sql, path, headers):
    response = await api.call(alice, "POST", path, JOB, headers=headers)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert sql.execute("SELECT FROM jobs").fetchall() == []


async def test_a_body_without_a_content_type_is_a_415(api, alice):
    headers = {"authorization": f"Bearer {token(alice)}"}

    response = await api.client.post("/jobs", content=json.dumps(JOB).encode(), headers=headers)

    assert response.status_code == 415


async def test_parameters_may_have_128_kib_and_not_a_byte_more(api, alice):
    exact = await api.call(alice, "POST", "/jobs", with_parameters_of(128 * KIB))
    over = await api.call(alice, "POST", "/jobs", with_parameters_of(128 * KIB + 1))

    assert exact.status_code == 201
    assert (over.status_code, over.json()["code"]) == (413, "payload_too_large")


async def test_a_body_may_have_256_kib_and_not_a_byte_more(api, alice):
    exact, over = (json.dumps(JOB).encode().ljust(256 * KIB + extra) for extra in (0, 1))

    answers = [await api.call(alice, "POST", "/jobs", body) for body in (exact, over)]

    assert [answer.status_code for answer in answers] == [201, 413]
    assert answers[1].json()["code"] == "payload_too_large"
    assert answers[1].headers["content-type"] == "application/problem+json"


async def test_a_body_without_a_length_is_cut_at_the_same_size(api, alice):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b" " * 64 * KIB

    response = await api.client.post(
        "/jobs",
        content=endless(),
        headers={"authorization": f"Bearer {token(alice)}", "content-type": "application/json"},
    )

    assert response.status_code == 413
    assert sent < 10


@pytest.mark.parametrize("path", ["/users", "/auth/token"])
async def test_every_route_has_the_same_limit(api, admin, path):
    assert (await api.call(admin, "POST", path, b" " * (256 * KIB + 1))).status_code == 413


async def test_a_large_body_of_a_verb_is_a_413(api, alice):
    job_id = (await api.submit(alice))["id"]

    assert (await api.call(alice, "POST", f"/jobs/{job_id}/cancel", b" " * (256 * KIB + 1))).status_code == 413


@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs"), ("GET", "/livez"), ("GET", "/job-types")])
async def test_a_body_where_none_belongs_is_ignored(api, alice, method, path):
    assert (await api.call(alice, method, path, b"{not json")).status_code == 200


async def test_a_body_of_a_clean_up_is_ignored(api, admin):
    assert (await api.call(admin, "DELETE", "/jobs/admin/cleanup", b"{not json")).status_code == 200


async def test_a_hostile_body_is_refused_without_end_of_work_or_words(api, alice):
    members = ",".join(f'"{number:x}":1' for number in range(26_000))
    bodies = [
        f'{{{members},"{25_999:x}":1}}'.encode(),
        b'{"title":' + b"[" * 130_000 + b"]" * 130_000 + b"}",
        b'{"priority":' + b"9" * 260_000 + b"}",
        b'{"tags":[' + b'"",' * 60_000 + b'""]}',
    ]

    async with asyncio.timeout(60):  # what is quadratic in them takes minutes
        answers = [await api.call(alice, "POST", "/jobs", body) for body in bodies]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert all(len(answer.content) < 20_000 for answer in answers)


def test_no_request_is_sent_through_a_thread(registry):
    """Litestar runs a guard that is a plain function in one, which costs more than the rest of the request."""
    app = create_litestar(dsn="postgresql:///nowhere", keys=KEYS, registry=registry)
    guards = {guard for route in app.routes for handler in getattr(route, "route_handlers", ()) for guard in handler.resolve_guards()}

    assert guards
    assert [guard for guard in guards if not inspect.iscoroutinefunction(guard)] == []
