"""What holds for every response: ids, careful headers, HEAD, methods, slashes."""

import re
from uuid import UUID

import pytest

from jobhub.app import create_litestar
from jobhub.web.edge import Edge
from tests import factories

SOME_ID = "01890a5d-0000-7000-8000-0000deadbeef"


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/jobs", f"/jobs/{SOME_ID}"])
async def test_every_response_has_a_request_id_and_careful_headers(api, alice, path):
    response = await api.call(alice, "GET", path, headers={"x-request-id": "chosen by a client"})

    assert UUID(response.headers["x-request-id"]).version == 7
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    if response.is_error:
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("statement", "status"), [("UPDATE login_failures SET failures = 100", 429), ("ALTER TABLE users RENAME TO away", 503)]
)
async def test_a_throttled_request_and_an_outage_are_answered_with_careful_headers_too(api, sql, statement, status):
    body = {"email": "nobody@example.org", "password": "a wrong guess"}
    await api.call(None, "POST", "/auth/token", body)
    sql.execute(statement)

    response = await api.call(None, "POST", "/auth/token", body)

    assert response.status_code == status
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/jobs", "/job-types", "/auth/me", "/openapi.json", "/docs", f"/jobs/{SOME_ID}", "/nothing"]
)
async def test_head_is_get_without_a_body(api, alice, path):
    got, headed = [await api.call(alice, method, path) for method in ("GET", "HEAD")]

    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]


async def test_the_server_is_given_no_body_to_send_for_head():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": scope["method"].encode()})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "headers": []}
    await Edge(app)(scope, None, send)

    # httpx would leave the body out by itself; the length stays that of GET, RFC 9110 section 9.3.2
    assert (b"content-length", b"4") in sent[0]["headers"]
    assert sent[1]["body"] == b""
    # The server has to go on knowing that it answers HEAD: tests/acceptance/test_raw_http.py
    assert scope["method"] == "HEAD"


async def test_head_is_for_administrators_where_get_is(api, alice, admin):
    answers = [(await api.call(user, "HEAD", "/users")).status_code for user in (None, alice, admin)]

    assert answers == [401, 403, 200]


# (method, path, what is allowed)
WRONG_METHODS = [
    *[(method, "/jobs", {"GET", "HEAD", "POST", "OPTIONS"}) for method in ("PUT", "PATCH", "DELETE", "TRACE", "FOO", "CONNECT")],
    ("DELETE", f"/jobs/{SOME_ID}", {"GET", "HEAD", "OPTIONS"}),
    ("GET", f"/jobs/{SOME_ID}/cancel", {"POST", "OPTIONS"}),
    ("HEAD", f"/jobs/{SOME_ID}/cancel", {"POST", "OPTIONS"}),
    ("GET", "/jobs/admin/cleanup", {"DELETE", "OPTIONS"}),
    ("GET", "/auth/token", {"POST", "OPTIONS"}),
    ("POST", "/livez", {"GET", "HEAD", "OPTIONS"}),
    ("POST", "/openapi.json", {"GET", "HEAD", "OPTIONS"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS)
async def test_a_wrong_method_is_a_405_that_says_what_is_allowed(api, alice, method, path, allowed):
    response = await api.call(alice, method, path)

    assert response.status_code == 405
    assert set(response.headers["allow"].replace(" ", "").split(",")) == allowed
    if method != "HEAD":
        assert response.json()["code"] == "method_not_allowed"


async def test_every_path_tells_the_same_methods_to_options_and_with_a_405(api, registry):
    app = create_litestar(dsn="postgresql:///nowhere", keys=factories.KEYS, registry=registry)
    expected, told = {}, {}
    for route in app.routes:
        path = re.sub(r"\{\w+:uuid\}", SOME_ID, route.path)
        expected[path] = expected.get(path, set()) | set(route.methods) | ({"HEAD"} if "GET" in route.methods else set())
        answers = [await api.client.request(method, path) for method in ("OPTIONS", "TRACE")]
        assert [answer.status_code for answer in answers] == [204, 405]
        told[path] = [set(answer.headers["allow"].split(", ")) for answer in answers]

    assert told == {path: [methods, methods] for path, methods in expected.items()}
    assert expected["/jobs"] == {"GET", "HEAD", "POST", "OPTIONS"}


@pytest.mark.parametrize("path", ["/jobs", "/job-types", "/auth/me", "/livez", "/jobs/{id}", "/jobs/{id}/attempts"])
async def test_a_slash_at_the_end_makes_no_difference(api, alice, path):
    path = path.replace("{id}", (await api.submit(alice))["id"])

    answers = [await api.call(alice, "GET", given) for given in (path, f"{path}/")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
