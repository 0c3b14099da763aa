"""Signing in to the pages: what the cookie is, what it opens, what it does not, and what ends it."""

import hashlib
import re

import pytest

from jobhub.services.passwords import Passwords
from tests import factories
from tests.factories import make_job, token
from tests.web.ui.pages import Browser, signed_in, words_of

HTTPS = {"x-forwarded-proto": "https"}


async def test_without_a_session_a_page_leads_to_the_sign_in_and_back(api, carol):
    stranger = Browser(api)

    asked = await stranger.get("/ui/jobs?status=failed")
    shown = await stranger.get(asked.headers["location"])
    wanted = re.search(r'name="next" value="([^"]*)"', shown.text)[1]
    data = {"email": "CAROL@example.org", "password": factories.PASSWORD, "next": wanted}
    answer = await stranger.client.post("/ui/sign-in", data=data)

    assert (asked.status_code, asked.headers["location"]) == (303, "/ui/sign-in?next=/ui/jobs%3Fstatus%3Dfailed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs?status=failed")
    assert "My jobs" in await stranger.text("/ui/jobs?status=failed")


@pytest.mark.parametrize("path", ["/", "/ui", "/ui/"])
async def test_the_way_to_the_pages_is_short(api, path):
    answer = await api.client.get(path, follow_redirects=True)

    assert (answer.status_code, answer.url.path) == (200, "/ui/sign-in")


async def test_a_cookie_of_plain_http_is_for_this_site_alone_and_no_script(api, carol):
    answer = await Browser(api).sign_in(carol.email)

    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(r"jobhub=[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax", cookie)


async def test_a_cookie_of_https_is_secure_and_bound_to_the_host(api, carol):
    answer = await Browser(api).sign_in(carol.email, headers=HTTPS)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-jobhub=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_under_https_a_cookie_that_another_host_could_have_set_is_none(api, browser):
    answer = await browser.get("/ui/jobs", headers=HTTPS)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")


async def test_only_the_hash_of_the_id_is_kept(browser, sql):
    session_id = browser.client.cookies["jobhub"]

    [row] = sql.execute("SELECT * FROM sessions").fetchall()

    assert row.id_sha256 == hashlib.sha256(session_id.encode()).digest()
    assert session_id not in str(row)


async def test_nobody_can_have_chosen_the_id_of_a_session_before(api, carol):
    browser = Browser(api)

    answer = await browser.sign_in(carol.email, headers={"cookie": "jobhub=chosen-by-somebody-else"})

    assert answer.status_code == 303
    assert "chosen" not in answer.headers["set-cookie"]
    assert (await api.client.get("/ui/jobs", headers={"cookie": "jobhub=chosen-by-somebody-else"})).status_code == 303


@pytest.mark.parametrize(("email", "password"), [("carol@example.org", "not the right one"), ("nobody@example.org", factories.PASSWORD)])
async def test_a_wrong_password_and_an_unknown_address_look_the_same(api, carol, email, password):
    answer = await Browser(api).sign_in(email, password)

    assert answer.status_code == 401
    assert "E-mail address or password is wrong." in words_of(answer.text)
    assert f'value="{email}"' in answer.text
    assert password not in answer.text
    assert "set-cookie" not in answer.headers


async def test_guesses_at_the_page_and_at_the_api_are_counted_together(api, carol):
    browser = Browser(api)
    for _ in range(3):
        await browser.sign_in(carol.email, "wrong")
    for _ in range(2):
        await api.call(None, "POST", "/auth/token", {"email": carol.email, "password": "wrong"})

    page = await browser.sign_in(carol.email)
    tokens = await api.call(None, "POST", "/auth/token", {"email": carol.email, "password": factories.PASSWORD})

    assert (page.status_code, tokens.status_code) == (429, 429)
    assert "Too many failed attempts for this account" in words_of(page.text)


async def test_signing_out_ends_the_session_and_forgets_the_cookie(browser, sql):
    before = dict(browser.client.cookies)

    answer = await browser.post("/ui/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in?notice=signed-out")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert sql.execute("SELECT FROM sessions").fetchall() == []
    browser.client.cookies.update(before)
    assert (await browser.get("/ui/jobs")).status_code == 303


@pytest.mark.parametrize("change", [{"password": "another good password"}, {"disabled": True}])
async def test_a_changed_password_and_disabling_end_every_session_of_the_user_and_no_other(
    api, admin, carol, browser, root, root_browser, change
):
    second = await signed_in(api, carol)

    changed = await api.call(admin, "PATCH", f"/users/{carol.id}", change)

    assert changed.status_code == 200
    assert [(await one.get("/ui/jobs")).status_code for one in (browser, second, root_browser)] == [303, 303, 200]


async def test_a_changed_role_ends_no_session_and_counts_at_once(api, admin, root, root_browser):
    path = f"/ui/jobs/{factories.new_id()}/force-complete"
    before = await root_browser.post(path)
    await api.call(admin, "PATCH", f"/users/{root.id}", {"role": "user"})

    assert (await root_browser.get("/ui/jobs")).status_code == 200
    assert (before.status_code, (await root_browser.post(path)).status_code) == (404, 403)


API = ["/jobs", "/jobs/admin/all", "/jobs/events", "/auth/me", "/job-types", "/users"]


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://api/ui/jobs?status=failed", "?next=/ui/jobs%3Fstatus%3Dfailed"),
        ("http://api/ui/new?type=demo.sleep", "?next=/ui/new%3Ftype%3Ddemo.sleep"),
        ("http://api/ui/jobs", ""),
        ("https://evil.example/x", ""),
        ("nonsense", ""),
        ("http://[", ""),
    ],
)
async def test_an_act_after_the_end_of_the_session_leads_to_the_sign_in_and_back_to_its_page(api, referer, back):
    answer = await api.client.post("/ui/jobs/bulk", data={"verb": "cancel"}, headers={"referer": referer})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/sign-in{back}")


@pytest.mark.parametrize("path", API)
async def test_the_cookie_opens_nothing_of_the_api(root_browser, path):
    assert (await root_browser.get(path)).status_code == 401


async def test_the_cookie_submits_and_cancels_nothing_through_the_api(browser, carol, sql):
    job_id = make_job(sql, carol)

    answers = [
        await browser.client.post("/jobs", json={"job_type": "test.echo", "title": "forged"}),
        await browser.client.post(f"/jobs/{job_id}/cancel"),
        await browser.client.post("/auth/ticket"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert factories.job_row(sql, job_id).status == "pending"


async def test_a_token_opens_no_page(api, admin):
    answer = await api.client.get("/ui/jobs", headers={"authorization": f"Bearer {token(admin)}"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")


@pytest.mark.parametrize("cookie", ["x", "%00", "é".encode().decode("latin-1"), "A" * 4000])
async def test_nonsense_is_no_session(api, cookie):
    answer = await api.client.get("/ui/jobs", headers=[(b"cookie", b"jobhub=" + cookie.encode("latin-1"))])

    assert answer.status_code == 303


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/ui/..//evil.example",
        "javascript:alert(1)",
        "/jobs",
        "",
        "/ui/\nx",
        "/ui/é",
    ],
)
async def test_no_link_of_ours_leads_elsewhere(api, carol, wanted):
    data = {"email": carol.email, "password": factories.PASSWORD, "next": wanted}

    answer = await Browser(api).client.post("/ui/sign-in", data=data)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs")


async def test_a_hash_with_old_parameters_is_renewed_by_signing_in(browser, carol, sql):
    row = sql.execute("SELECT password_hash FROM users WHERE id = %s", [carol.id]).fetchone()
    passwords = Passwords()

    assert not passwords.is_outdated(row.password_hash)
    passwords.close()
