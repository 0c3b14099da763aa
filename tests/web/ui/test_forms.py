"""Forms: only our own pages' are accepted, and they are read as they are."""

import pytest

from jobhub.domain.errors import InvalidInput
from jobhub.web.ui.forms import read_form
from tests import factories
from tests.factories import make_job
from tests.web.ui.pages import Browser, signed_in


@pytest.fixture
def job_id(sql, carol):
    return make_job(sql, carol)


async def cancel(browser, job_id, headers=None, **fields):
    return await browser.client.post(f"/ui/jobs/{job_id}/cancel", data=fields, headers=headers or {})


async def test_a_form_with_the_token_of_the_session_is_accepted(browser, job_id, sql):
    answer = await cancel(browser, job_id, form_token=await browser.form_token())

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job_id}?notice=cancelled")
    assert factories.job_row(sql, job_id).status == "cancelled"


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_without_it_is_refused(browser, job_id, sql, token):
    answer = await cancel(browser, job_id, form_token=token)

    assert answer.status_code == 403
    assert "load the page again" in answer.text
    assert factories.job_row(sql, job_id).status == "pending"


async def test_the_token_of_another_session_of_the_same_user_is_refused(api, carol, browser, job_id, sql):
    other = await signed_in(api, carol)

    answer = await cancel(browser, job_id, form_token=await other.form_token())

    assert answer.status_code == 403
    assert factories.job_row(sql, job_id).status == "pending"


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://api.evil.example"},
    {"origin": "http://api:1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_form_of_another_site_is_refused_even_with_the_token(browser, job_id, sql, headers):
    answer = await cancel(browser, job_id, headers, form_token=await browser.form_token())

    assert answer.status_code == 403
    assert factories.job_row(sql, job_id).status == "pending"


@pytest.mark.parametrize("headers", FOREIGN)
async def test_no_other_site_signs_anybody_in(api, carol, sql, headers):
    answer = await Browser(api).sign_in(carol.email, headers=headers)

    assert answer.status_code == 403
    assert sql.execute("SELECT FROM sessions").fetchall() == []


@pytest.mark.parametrize("headers", [{"origin": "http://api"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
async def test_a_form_of_this_site_is_accepted(browser, job_id, sql, headers):
    answer = await cancel(browser, job_id, headers, form_token=await browser.form_token())

    assert answer.status_code == 303


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_what_is_no_form_is_a_415(browser, job_id, media_type):
    answer = await browser.client.post(f"/ui/jobs/{job_id}/cancel", content=b"{}", headers={"content-type": media_type})

    assert answer.status_code == 415


async def test_a_form_that_is_too_long_is_a_413(browser, job_id):
    answer = await cancel(browser, job_id, reason="x" * 1_100_000)

    assert answer.status_code == 413


def test_fields_are_read_as_browsers_send_them():
    form = read_form(b"a=1&a=2&empty=&text=a%0D%0Ab+c&%C3%A9=%F0%9F%8E%AB&broken=%FF")

    assert form.all("a") == ["1", "2"]
    assert (form.text("a"), form.text("empty"), form.text("text"), form.text("é")) == ("2", "", "a\nb c", "\N{TICKET}")
    assert (form.text("broken"), form.text("absent", "x"), form.has("empty"), form.has("absent")) == ("�", "x", True, False)


@pytest.mark.parametrize("body", [b"a=%00", b"%00=a", b"&".join([b"a=1"] * 1001)])
def test_what_nothing_can_be_made_of_is_refused(body):
    with pytest.raises(InvalidInput):
        read_form(body)
