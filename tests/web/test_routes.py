"""The table of doors: who may come through each route, asked by real requests.

A route that is not in the table fails the first test: whoever adds one has to say here who may use it. The pages have a table of their
own (tests/web/ui/test_doors.py).
"""

import re

import pytest

from jobhub.app import create_litestar
from tests import factories
from tests.factories import KEYS, make_job, make_user

PUBLIC, USER, OWN_JOB, ADMINISTRATOR = "public", "user", "own job", "administrator"

TABLE = {
    "GET /": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/assets/{file_path:path}": PUBLIC,
    "GET /docs/openapi.json": PUBLIC,
    "GET /docs/{path:str}": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /readyz": PUBLIC,
    "HEAD /docs/assets/{file_path:path}": PUBLIC,
    "POST /auth/refresh": PUBLIC,
    "POST /auth/token": PUBLIC,
    "GET /auth/me": USER,
    "GET /job-types": USER,
    "GET /jobs": USER,
    "GET /jobs/events": USER,
    "POST /auth/logout": USER,
    "POST /auth/ticket": USER,
    "POST /jobs": USER,
    "GET /jobs/{job_id:uuid}": OWN_JOB,
    "GET /jobs/{job_id:uuid}/attempts": OWN_JOB,
    "GET /jobs/{job_id:uuid}/events": OWN_JOB,
    "POST /jobs/{job_id:uuid}/cancel": OWN_JOB,
    "POST /jobs/{job_id:uuid}/retry": OWN_JOB,
    "DELETE /jobs/admin/cleanup": ADMINISTRATOR,
    "DELETE /jobs/admin/{job_id:uuid}/pin": ADMINISTRATOR,
    "GET /jobs/admin/all": ADMINISTRATOR,
    "GET /jobs/admin/queue-status": ADMINISTRATOR,
    "GET /jobs/admin/statistics": ADMINISTRATOR,
    "GET /users": ADMINISTRATOR,
    "PATCH /users/{user_id:uuid}": ADMINISTRATOR,
    "POST /jobs/admin/{job_id:uuid}/force-complete": ADMINISTRATOR,
    "POST /users": ADMINISTRATOR,
    "PUT /jobs/admin/{job_id:uuid}/pin": ADMINISTRATOR,
}
CLOSED = [operation for operation, who in TABLE.items() if who is not PUBLIC]
BODIES = {
    "POST /users": {"email": "new@example.org", "password": factories.PASSWORD, "role": "admin"},
    "PATCH /users/{user_id:uuid}": {"role": "admin"},
    "POST /jobs": {"job_type": "test.echo", "title": "a job"},
    "POST /auth/logout": {"refresh_token": "A" * 64},
}


def rows(*kinds):
    return [operation for operation, who in TABLE.items() if who in kinds]


async def ask(api, operation, *, user=None, ident=None, **options):
    method, path = operation.split(" ")
    path = re.sub(r"\{\w+:uuid\}", str(ident or factories.new_id()), path)
    return await api.call(user, method, path, BODIES.get(operation, ...), **options)


def test_every_route_is_in_the_table(registry):
    app = create_litestar(dsn="postgresql:///nowhere", keys=KEYS, registry=registry)

    found = {f"{method} {route.path}" for route in app.routes for method in getattr(route, "methods", ["?"]) if method != "OPTIONS"}

    assert {operation for operation in found if not re.search(r" /ui(/|$)", operation)} == set(TABLE)


@pytest.mark.parametrize("token", [None, "garbage"])
async def test_no_token_and_a_garbage_token_open_no_closed_door(api, token):
    headers = {"authorization": f"Bearer {token}"} if token else {}

    statuses = {operation: (await ask(api, operation, headers=headers)).status_code for operation in CLOSED}

    assert statuses == dict.fromkeys(CLOSED, 401)


@pytest.mark.parametrize("operation", ["GET /livez", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /docs"])
async def test_a_public_door_is_open_even_with_a_garbage_token(api, operation):
    assert (await ask(api, operation)).status_code == 200
    assert (await ask(api, operation, headers={"authorization": "Bearer garbage"})).status_code == 200


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_a_disabled_user_comes_through_no_closed_door(api, alice, sql, role):
    make_user(sql, "root@example.org", role="admin")
    job_id = make_job(sql, alice)
    sql.execute("UPDATE users SET role = %s, disabled_at = now() WHERE id = %s", [role, alice.id])

    statuses = {operation: (await ask(api, operation, user=alice, ident=job_id)).status_code for operation in CLOSED}

    assert statuses == dict.fromkeys(CLOSED, 401)
    assert factories.job_row(sql, job_id).status == "pending"


async def test_a_user_is_refused_what_administrators_do(api, alice, sql):
    job_id = make_job(sql, alice)

    await refused_everywhere(api, alice, sql, job_id)


async def test_who_was_an_administrator_a_moment_ago_is_one_no_more(api, admin, sql):
    second = make_user(sql, "second@example.org", role="admin")
    job_id = make_job(sql, second)
    before = await api.call(second, "GET", "/users")
    demoted = await api.call(admin, "PATCH", f"/users/{second.id}", {"role": "user"})

    assert (before.status_code, demoted.status_code) == (200, 200)
    await refused_everywhere(api, second, sql, job_id)


async def refused_everywhere(api, user, sql, job_id):
    """Of the routes for administrators; and nothing has happened."""
    users = sql.execute("SELECT * FROM users ORDER BY id").fetchall()
    operations = rows(ADMINISTRATOR)

    answers = {operation: await ask(api, operation, user=user, ident=job_id) for operation in operations}
    himself = await ask(api, "PATCH /users/{user_id:uuid}", user=user, ident=user.id)

    assert {operation: answer.status_code for operation, answer in answers.items()} == dict.fromkeys(operations, 403)
    assert {answer.json()["code"] for answer in answers.values()} == {"administrators_only"}
    assert himself.status_code == 403
    assert sql.execute("SELECT * FROM users ORDER BY id").fetchall() == users
    assert factories.job_row(sql, job_id).status == "pending"


@pytest.mark.parametrize("status", ["pending", "running", "failed", "completed"])
async def test_another_users_job_looks_like_none(api, alice, bob, sql, status):
    job_id, nowhere = make_job(sql, bob, status=status), factories.new_id()
    before = factories.job_row(sql, job_id)

    for operation in rows(OWN_JOB):
        theirs, nobodys = [await ask(api, operation, user=alice, ident=ident) for ident in (job_id, nowhere)]

        assert (theirs.status_code, nobodys.status_code) == (404, 404), operation
        assert alike(theirs, job_id) == alike(nobodys, nowhere), operation
        assert theirs.headers.keys() == nobodys.headers.keys()
    assert factories.job_row(sql, job_id) == before


def alike(answer, ident):
    """A problem without what has to differ: the id that was asked for, and the request's."""
    problem = {name: value for name, value in answer.json().items() if name not in ("request_id", "instance")}
    return str(problem).replace(str(ident), "ID")


TRICKS = [
    "/jobs/admin/../admin/all",
    "/jobs/x/../admin/all",
    "/jobs/./admin/all",
    "/jobs//admin/all",
    "//jobs/admin/all",
    "/jobs/admin/all/",
    "/JOBS/ADMIN/ALL",
    "/jobs/Admin/all",
    "/jobs%2Fadmin%2Fall",
    "/jobs/admin%2Fall",
    "/jobs/%61dmin/all",
    "/jobs/admin%2F..%2Fadmin/all",
    "/jobs/admin/all%00",
    "/jobs/admin/all;x=1",
    "/jobs/admin/all.json",
    "/livez/../jobs/admin/all",
    "/docs/../jobs/admin/all",
    "/docs/assets/../../jobs/admin/all",
    "/docs/assets/..%2F..%2Fjobs/admin/all",
    "/users/",
    "/USERS",
    "/%75sers",
]


@pytest.mark.parametrize("path", TRICKS)
async def test_no_spelling_of_a_path_goes_round_the_guard(api, alice, bob, sql, path):
    """Asked for as it stands, which no client library would do by itself."""
    make_job(sql, bob, title="a secret of bob's")

    for user, refused in ((None, {401, 404}), (alice, {403, 404})):
        answer = await raw(api, user, "GET", path)

        assert answer.status_code in refused, answer.text
        assert "secret" not in answer.text
        assert "bob@" not in answer.text


async def raw(api, user, method, path, headers=()):
    """A request whose path nobody has tidied up."""
    given = [*headers, *([("authorization", f"Bearer {factories.token(user)}")] if user else [])]
    request = api.client.build_request(method, "/", headers=given)
    request.url = request.url.copy_with(raw_path=path.encode())
    return await api.client.send(request)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_no_header_changes_the_method(api, alice, admin, sql, header):
    job_id = make_job(sql, alice, status="completed")

    answers = [
        await api.call(admin, "GET", "/jobs/admin/cleanup?days_old=0", headers={header: "DELETE"}),
        await api.call(admin, "POST", "/jobs/admin/cleanup?days_old=0", headers={header: "DELETE"}),
        await api.call(alice, "GET", f"/jobs/{job_id}/cancel", headers={header: "POST"}),
    ]

    assert [answer.status_code for answer in answers] == [405] * 3
    assert factories.job_row(sql, job_id).status == "completed"


@pytest.mark.parametrize("header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"])
async def test_no_header_changes_the_path(api, alice, header):
    answer = await api.call(alice, "GET", "/livez", headers={header: "/jobs/admin/all"})

    assert answer.json()["status"] == "ok"


async def test_head_and_options_open_nothing(api, alice):
    for operation in rows(ADMINISTRATOR):
        path = re.sub(r"\{\w+:uuid\}", str(factories.new_id()), operation.split(" ")[1])
        head = await api.call(alice, "HEAD", path)
        options = await api.call(alice, "OPTIONS", path)

        assert head.status_code in (403, 405), path
        assert (options.status_code, options.content) == (204, b"")
