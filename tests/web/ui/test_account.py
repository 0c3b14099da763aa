"""One's own account: a new password for who knows the old one."""

import re

import pytest

from tests import factories
from tests.web.ui.pages import Browser, signed_in, words_of

NEW = "an even better password"


async def change(browser, **fields):
    return await browser.post("/ui/account/password", **{"old": factories.PASSWORD, "new": NEW, "repeated": NEW, **fields})


def error_beside(answer, name):
    found = re.search(rf'id="{name}-error"><p>(.*?)</p>', answer.text)
    return words_of(found[1]) if found else None


async def test_the_page_says_who_one_is_and_what_is_used(browser, carol, sql):
    factories.make_job(sql, carol)

    text = await browser.text("/ui/account")

    assert "Account carol@example.org Pending jobs 1 Running jobs 0 Submitted this minute 1 Change" in text


async def test_a_new_password_ends_every_other_session_and_login_and_keeps_this_one(api, carol, browser):
    other = await signed_in(api, carol)
    login = {"email": carol.email, "password": factories.PASSWORD}
    tokens = (await api.call(None, "POST", "/auth/token", login)).json()

    answer = await change(browser)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/account?notice=password-changed")
    assert (await browser.get("/ui/jobs")).status_code == 200
    assert (await other.get("/ui/jobs")).status_code == 303
    assert (await api.call(None, "POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 401
    assert (await api.call(None, "POST", "/auth/token", login)).status_code == 401
    assert (await Browser(api).sign_in(carol.email, NEW)).status_code == 303


async def test_the_old_id_of_the_session_is_none_any_more(browser, api):
    before = browser.client.cookies["jobhub"]

    await change(browser)

    assert (await api.client.get("/ui/jobs", headers={"cookie": f"jobhub={before}"})).status_code == 303


WRONG = {
    "old": ({"old": "not the right one"}, "is wrong"),
    "new": ({"new": "short", "repeated": "short"}, "must have 12 to 1024 bytes"),
    "repeated": ({"repeated": "something different"}, "differs from the new password"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(api, carol, browser, name):
    fields, words = WRONG[name]

    answer = await change(browser, **fields)

    assert (answer.status_code, error_beside(answer, name)) == (400, words)
    assert re.search(rf'id="{name}"[^>]*aria-invalid="true"', answer.text)
    assert factories.PASSWORD not in answer.text
    assert (await signed_in(api, carol)).client.cookies["jobhub"]


async def test_the_same_password_is_no_new_one(browser):
    answer = await change(browser, new=factories.PASSWORD, repeated=factories.PASSWORD)

    assert error_beside(answer, "new") == "must differ from the old one"


async def test_guesses_here_are_counted_with_those_at_the_door(api, carol, browser, sql):
    for _ in range(5):
        await change(browser, old="a guess of many")
    # Had there been more, the wait would be long; after five it is a second, which a busy machine takes for one request.
    counted = sql.execute("UPDATE login_failures_by_account_and_network SET failures = 15 WHERE failures = 5").rowcount

    here, door = await change(browser), await Browser(api).sign_in(carol.email)

    assert (counted, here.status_code, door.status_code) == (1, 429, 429)
    assert "Too many failed attempts for this account" in error_beside(here, "old")
    assert int(here.headers["retry-after"]) > 0


async def test_the_audit_log_says_that_it_was_changed_and_not_to_what(browser, carol, sql):
    await change(browser)

    [row] = sql.execute("SELECT actor_id, verb, details FROM audit_log WHERE user_id = %s", [carol.id]).fetchall()
    assert (row.actor_id, row.verb, row.details) == (carol.id, "change_user", {"password_changed": True})
