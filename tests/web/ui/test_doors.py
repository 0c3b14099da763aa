"""The table of the pages' doors: who may come through each, asked by real requests. A route that is not in it fails the first test."""

import re

import pytest

from jobhub.app import create_litestar
from tests import factories
from tests.factories import KEYS, make_job
from tests.web.ui.pages import words_of

PUBLIC, USER, OWN_JOB, ADMINISTRATOR = "public", "user", "own job", "administrator"

TABLE = {
    "GET /ui/sign-in": PUBLIC,
    "GET /ui/static/{name:str}": PUBLIC,
    "POST /ui/sign-in": PUBLIC,
    "GET /ui": USER,
    "GET /ui/events": USER,
    "GET /ui/jobs": USER,
    "GET /ui/{rest:path}": USER,
    "GET /ui/new": USER,
    "GET /ui/account": USER,
    "GET /ui/jobs/bulk": USER,
    "POST /ui/account/password": USER,
    "POST /ui/jobs/bulk": USER,
    "POST /ui/new": USER,
    "POST /ui/sign-out": USER,
    "GET /ui/jobs/{job_id:uuid}": OWN_JOB,
    "GET /ui/jobs/{job_id:uuid}/events": OWN_JOB,
    "GET /ui/jobs/{job_id:uuid}/result": OWN_JOB,
    "POST /ui/jobs/{job_id:uuid}/cancel": OWN_JOB,
    "POST /ui/jobs/{job_id:uuid}/retry": OWN_JOB,
    "GET /ui/admin": ADMINISTRATOR,
    "GET /ui/admin/audit-log": ADMINISTRATOR,
    "GET /ui/admin/clean-up": ADMINISTRATOR,
    "GET /ui/admin/failures": ADMINISTRATOR,
    "GET /ui/admin/job-types": ADMINISTRATOR,
    "GET /ui/admin/jobs": ADMINISTRATOR,
    "GET /ui/admin/users": ADMINISTRATOR,
    "GET /ui/admin/workers": ADMINISTRATOR,
    "POST /ui/admin/clean-up": ADMINISTRATOR,
    "POST /ui/admin/users/{user_id:uuid}/disable": ADMINISTRATOR,
    "POST /ui/admin/users/{user_id:uuid}/enable": ADMINISTRATOR,
    "POST /ui/jobs/{job_id:uuid}/force-complete": ADMINISTRATOR,
}
CLOSED = [operation for operation, who in TABLE.items() if who is not PUBLIC]


def rows(*kinds):
    return [operation for operation, who in TABLE.items() if who in kinds]


async def ask(browser, operation, ident=None, **fields):
    method, path = operation.split(" ")
    path = path.replace("{rest:path}", "nowhere").replace("{job_id:uuid}", str(ident or factories.new_id()))
    path = path.replace("{user_id:uuid}", str(ident or factories.new_id()))
    if method == "GET":
        return await browser.get(path)
    return await browser.client.post(path, data={"form_token": "", **fields})


def test_every_page_is_in_the_table(registry):
    app = create_litestar(dsn="postgresql:///nowhere", keys=KEYS, registry=registry)

    found = {f"{method} {route.path}" for route in app.routes for method in getattr(route, "methods", ["?"]) if method != "OPTIONS"}

    assert {operation for operation in found if re.search(r" /ui(/|$)", operation)} == set(TABLE)


async def test_without_a_session_every_closed_door_leads_to_the_sign_in(api):
    for operation in CLOSED:
        answer = await ask(type("Stranger", (), {"client": api.client, "get": api.client.get}), operation)

        if operation.endswith("/events"):
            assert answer.status_code == 401
        else:
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/ui/sign-in"), operation


async def test_every_form_needs_the_token_of_its_session(root_browser, root, sql):
    job_id = make_job(sql, root, status="failed")

    for operation in CLOSED:
        if operation.startswith("POST"):
            assert (await ask(root_browser, operation, job_id)).status_code == 403, operation
    assert factories.job_row(sql, job_id).status == "failed"


@pytest.mark.parametrize("status", ["pending", "running", "failed", "completed"])
async def test_another_users_job_looks_like_none(browser, bob, sql, status):
    job_id, nowhere = make_job(sql, bob, status=status, title="a secret of bob's"), factories.new_id()
    before = factories.job_row(sql, job_id)
    token = await browser.form_token()

    for operation in rows(OWN_JOB):
        theirs, nobodys = [await ask(browser, operation, ident, form_token=token) for ident in (job_id, nowhere)]

        assert (theirs.status_code, nobodys.status_code) == (404, 404), operation
        assert alike(theirs, job_id) == alike(nobodys, nowhere), operation
    assert factories.job_row(sql, job_id) == before


def alike(answer, ident):
    """A page without what has to differ: the id that was asked for, and the request's."""
    return re.sub(r"Request \S+", "", words_of(answer.text)).replace(str(ident), "ID")


async def test_a_user_is_refused_what_administrators_do_and_sees_no_link_to_it(browser, carol, sql):
    job_id = make_job(sql, carol)
    token = await browser.form_token()

    for operation in rows(ADMINISTRATOR):
        answer = await ask(browser, operation, job_id, form_token=token)

        assert answer.status_code == 403, operation
        assert "Only an administrator may do this." in words_of(answer.text)
    assert factories.job_row(sql, job_id).status == "pending"
    assert "/ui/admin" not in (await browser.get("/ui/jobs")).text


async def test_a_page_that_is_none_is_a_404_page(browser):
    answer = await browser.get("/ui/nowhere/at/all")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page." in words_of(answer.text)


@pytest.mark.parametrize("path", ["/ui/sign-in", "/ui/jobs", "/ui/nowhere"])
async def test_every_page_tells_browsers_to_run_nothing_but_our_own_files(browser, path):
    answer = await browser.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text) == []
    assert re.findall(r"(?:src|href)=\"(?!/ui/)[^\"#]", answer.text) == []


async def test_a_static_file_is_sent_once(api):
    first = await api.client.get("/ui/static/style.css")
    again = await api.client.get("/ui/static/style.css", headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, first.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.css", "..%2Frouter.py", "__init__.py", "%2e%2e"])
async def test_nothing_else_is_sent_as_a_static_file(api, name):
    assert (await api.client.get(f"/ui/static/{name}")).status_code in (303, 404)
