"""One verb for many jobs: asked first, done once, and what could not be done is told."""

import re

import pytest

from jobhub.services import bulk
from jobhub.web.ui.my_jobs import PER_PAGE
from tests.factories import job_row, make_job, new_id
from tests.web.ui.pages import words_of


async def ask(browser, verb, job_ids=(), **query):
    return await browser.get("/ui/jobs/bulk", params={"verb": verb, "job": [str(job_id) for job_id in job_ids], **query})


async def act(browser, verb, job_ids):
    return await browser.post("/ui/jobs/bulk", verb=verb, jobs=",".join(map(str, job_ids)), back="/ui/jobs?status=failed")


def asked_about(answer):
    return set(re.search(r'name="jobs" value="([^"]*)"', answer.text)[1].split(",")) - {""}


async def test_nothing_is_done_before_it_was_confirmed(browser, carol, sql):
    job_ids = [make_job(sql, carol, status=status) for status in ("failed", "cancelled", "completed")]

    answer = await ask(browser, "retry", job_ids)

    text = words_of(answer.text)
    assert "Retry 2 jobs?" in text
    assert "1 of the 3 selected can't be retried and will be left as it is." in text
    assert asked_about(answer) == {str(job_id) for job_id in job_ids[:2]}
    assert [job_row(sql, job_id).status for job_id in job_ids] == ["failed", "cancelled", "completed"]


async def test_what_could_not_be_done_is_told_and_stops_nothing(browser, carol, sql):
    job_ids = [make_job(sql, carol, status=status, title=f"it {status}") for status in ("failed", "completed", "failed")]

    answer = await act(browser, "retry", [*job_ids, new_id()])

    text = words_of(answer.text)
    assert "2 jobs back in the queue" in text
    assert "2 left as they were it completed is completed" in text
    assert "is not there any more" in text
    assert 'href="/ui/jobs?status=failed"' in answer.text
    assert [job_row(sql, job_id).status for job_id in job_ids] == ["pending", "completed", "pending"]


async def test_running_and_pending_jobs_are_cancelled(browser, carol, sql):
    pending, running = make_job(sql, carol), make_job(sql, carol, status="running")

    await act(browser, "cancel", [pending, running])

    assert (job_row(sql, pending).status, bool(job_row(sql, running).cancel_requested_at)) == ("cancelled", True)


async def test_another_users_job_looks_like_none(browser, bob, sql):
    theirs = make_job(sql, bob, title="a secret of bob's")

    asked = await ask(browser, "cancel", [theirs])
    done = await act(browser, "cancel", [theirs])

    assert "None of the selected jobs can be cancelled now." in words_of(asked.text)
    assert "is not there any more" in words_of(done.text)
    assert "secret" not in asked.text + done.text
    assert job_row(sql, theirs).status == "pending"


async def test_an_administrator_acts_on_everybodys(root_browser, root, carol, sql):
    job_id = make_job(sql, carol)

    await act(root_browser, "cancel", [job_id])

    assert (job_row(sql, job_id).status, job_row(sql, job_id).intervened_by) == ("cancelled", "administrator")


async def test_nothing_selected_is_said(browser):
    assert "Select some jobs first" in words_of((await ask(browser, "cancel")).text)


async def test_all_that_match_are_asked_about_and_done_beyond_the_page(browser, carol, sql):
    wanted = [make_job(sql, carol, status="failed", title=f"wanted {number}") for number in range(PER_PAGE + 5)]
    others = [make_job(sql, carol, status="failed", title="other"), make_job(sql, carol, status="completed", title="wanted too")]

    listed = await browser.text("/ui/jobs?q=wanted")
    asked = await ask(browser, "retry", every="1", q="wanted", list="mine")
    done = await act(browser, "retry", asked_about(asked))

    assert f"all {PER_PAGE + 6} that match" in listed
    assert f"Retry {PER_PAGE + 5} jobs?" in words_of(asked.text)
    assert f"{PER_PAGE + 5} jobs back in the queue" in words_of(done.text)
    assert {job_row(sql, job_id).status for job_id in wanted} == {"pending"}
    assert [job_row(sql, job_id).status for job_id in others] == ["failed", "completed"]


@pytest.mark.parametrize(("query", "found"), [({}, set()), ({"q": "status:pending"}, {"mine"}), ({"status": "failed"}, set())])
async def test_a_tab_and_the_states_of_a_search_narrow_what_is_done(browser, carol, sql, query, found):
    jobs = {"mine": make_job(sql, carol, title="mine"), "done": make_job(sql, carol, status="completed")}
    query = query or {"q": "nothing like it"}

    asked = await ask(browser, "cancel", every="1", list="mine", **query)

    assert asked_about(asked) == {str(jobs[name]) for name in found}


async def test_all_are_ones_own_whatever_list_is_asked_for(browser, root_browser, carol, bob, sql):
    mine, theirs = make_job(sql, carol), make_job(sql, bob)

    as_user = await ask(browser, "cancel", every="1", list="all")
    as_administrator = await ask(root_browser, "cancel", every="1", list="all")
    of_bob = await ask(root_browser, "cancel", every="1", list="all", q="owner:bob@example.org")

    assert asked_about(as_user) == {str(mine)}
    assert asked_about(as_administrator) == {str(mine), str(theirs)}
    assert asked_about(of_bob) == {str(theirs)}


async def test_no_more_than_so_many_are_done_at_once(browser, carol, sql, monkeypatch):
    monkeypatch.setattr(bulk, "MAX_JOBS", 3)
    for _ in range(5):
        make_job(sql, carol)

    asked = await ask(browser, "cancel", every="1", list="mine")

    assert "Cancel 3 jobs?" in words_of(asked.text)
    assert "3 are done at a time." in words_of(asked.text)


async def test_a_search_that_is_not_understood_selects_nothing(browser, carol, sql):
    for number in range(PER_PAGE + 1):
        make_job(sql, carol, title=f"no {number}")

    listed = await browser.text("/ui/jobs?q=staus:failed")
    asked = await ask(browser, "cancel", every="1", q="staus:failed", list="mine")

    assert "that match" not in listed
    assert asked.status_code == 400


@pytest.mark.parametrize(("verb", "job_ids"), [("force_complete", []), ("", []), ("cancel", ["x"])])
async def test_what_our_pages_do_not_send_is_refused(browser, verb, job_ids):
    assert (await ask(browser, verb, job_ids)).status_code == 400
    assert (await act(browser, verb, job_ids)).status_code == 400


async def test_too_many_at_once_are_refused(browser):
    job_ids = [new_id() for _ in range(bulk.MAX_JOBS + 1)]

    assert (await act(browser, "cancel", job_ids)).status_code == 400
