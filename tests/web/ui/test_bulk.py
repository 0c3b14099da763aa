"""One verb for many jobs: asked first, done once, and what could not be done is told."""

import pytest

from jobhub.services import bulk
from tests.factories import job_row, make_job, new_id
from tests.web.ui.pages import words_of


async def send(browser, verb, job_ids, **fields):
    return await browser.post("/ui/jobs/bulk", verb=verb, job=[str(job_id) for job_id in job_ids], back="/ui/jobs?status=failed", **fields)


async def test_nothing_is_done_before_it_was_confirmed(browser, carol, sql):
    job_ids = [make_job(sql, carol, status=status) for status in ("failed", "cancelled", "completed")]

    answer = await send(browser, "retry", job_ids)

    text = words_of(answer.text)
    assert "Retry 2 jobs?" in text
    assert "1 of the 3 selected can't be retried and will be left as they are." in text
    assert [job_row(sql, job_id).status for job_id in job_ids] == ["failed", "cancelled", "completed"]


async def test_what_could_not_be_done_is_told_and_stops_nothing(browser, carol, sql):
    job_ids = [make_job(sql, carol, status=status, title=f"it {status}") for status in ("failed", "completed", "failed")]

    answer = await send(browser, "retry", [*job_ids, new_id()], confirmed="1")

    text = words_of(answer.text)
    assert "2 jobs back in the queue" in text
    assert "2 left as they were it completed is completed" in text
    assert "is not there any more" in text
    assert 'href="/ui/jobs?status=failed"' in answer.text
    assert [job_row(sql, job_id).status for job_id in job_ids] == ["pending", "completed", "pending"]


async def test_running_and_pending_jobs_are_cancelled(browser, carol, sql):
    pending, running = make_job(sql, carol), make_job(sql, carol, status="running")

    await send(browser, "cancel", [pending, running], confirmed="1")

    assert (job_row(sql, pending).status, bool(job_row(sql, running).cancel_requested_at)) == ("cancelled", True)


async def test_another_users_job_looks_like_none(browser, bob, sql):
    theirs = make_job(sql, bob, title="a secret of bob's")

    asked = await send(browser, "cancel", [theirs])
    done = await send(browser, "cancel", [theirs], confirmed="1")

    assert "None of the selected jobs can be cancelled now." in words_of(asked.text)
    assert "is not there any more" in words_of(done.text)
    assert "secret" not in asked.text + done.text
    assert job_row(sql, theirs).status == "pending"


async def test_an_administrator_acts_on_everybodys(root_browser, root, carol, sql):
    job_id = make_job(sql, carol)

    await send(root_browser, "cancel", [job_id], confirmed="1")

    assert (job_row(sql, job_id).status, job_row(sql, job_id).intervened_by) == ("cancelled", "administrator")


async def test_nothing_selected_is_said(browser):
    assert "Select some jobs first." in words_of((await send(browser, "cancel", [])).text)


@pytest.mark.parametrize(("verb", "job_ids"), [("force_complete", []), ("", []), ("cancel", ["x"])])
async def test_what_our_pages_do_not_send_is_refused(browser, verb, job_ids):
    assert (await send(browser, verb, job_ids)).status_code == 400


async def test_too_many_at_once_are_refused(browser):
    job_ids = [new_id() for _ in range(bulk.MAX_JOBS + 1)]

    assert (await send(browser, "cancel", job_ids)).status_code == 400
