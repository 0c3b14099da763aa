"""The page of one job, and what is done there."""

import json
import re
import shlex
from html import unescape

import msgspec
import pytest

from tests.factories import job_row, make_job
from tests.web.ui.pages import words_of

HOSTILE = '<img src=x onerror=alert(1)>"><script>alert(2)</script>{{7*7}}'


async def test_a_failed_job_shows_what_it_was_given_and_what_went_wrong(browser, carol, sql):
    job_id = make_job(sql, carol, status="failed", parameters='{"value": 9223372036854775807}', tags=["nightly"], description="two\nlines")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)"
        " SELECT id, 1, worker_id, due_at, started_at, 'failed', 'boom', 'It went boom.', 'Traceback: secret.py' FROM jobs WHERE id = %s",
        [job_id],
    )

    text = await browser.text(f"/ui/jobs/{job_id}")

    for words in (
        "a failed job",
        "test.echo",
        "boom It went boom.",
        "9223372036854775807",
        "nightly",
        "two lines",
        "No. 1 Failed",
        "Retry",
    ):
        assert words in text
    assert "secret.py" not in text


async def test_a_job_can_be_submitted_again_by_a_shell(browser, carol, sql):
    job_id = make_job(sql, carol, title="it's mine; rm -rf $HOME", parameters=json.dumps({"value": "`a` 'b'"}), tags=["x"], priority=3)

    page = (await browser.get(f"/ui/jobs/{job_id}")).text
    command = unescape(re.search(r'<pre id="curl"[^>]*>(.*?)</pre>', page, re.DOTALL)[1])
    words = shlex.split(command.replace("\\\n", ""))

    assert words[:4] == ["curl", "-X", "POST", "http://api/jobs"]
    assert "Authorization: Bearer $TOKEN" in words
    assert msgspec.json.decode(words[-1]) == {
        "job_type": "test.echo",
        "title": "it's mine; rm -rf $HOME",
        "parameters": {"value": "`a` 'b'"},
        "tags": ["x"],
        "priority": 3,
    }


@pytest.mark.parametrize(("status", "title"), [("running", "Running 40 % · it"), ("failed", "Failed · it"), ("pending", "Pending · it")])
async def test_the_title_of_the_page_says_how_it_stands(browser, carol, sql, status, title):
    job_id = make_job(sql, carol, status=status, title="it")
    sql.execute("UPDATE jobs SET progress_percentage = 40 WHERE status = 'running'")

    assert f"<title>{title} · jobhub</title>" in (await browser.get(f"/ui/jobs/{job_id}")).text


async def test_an_administrator_also_sees_whose_it_is_and_the_traceback(root_browser, carol, sql):
    job_id = make_job(sql, carol, status="failed")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)"
        " SELECT id, 1, worker_id, due_at, started_at, 'failed', 'boom', 'It went boom.', 'Traceback: secret.py' FROM jobs WHERE id = %s",
        [job_id],
    )

    text = await root_browser.text(f"/ui/jobs/{job_id}")

    assert "carol@example.org" in text
    assert "Traceback: secret.py" in text
    assert "Complete by hand" in text


@pytest.mark.parametrize("status", ["pending", "running", "failed", "cancelled", "completed"])
async def test_every_state_has_its_life_line(browser, carol, sql, status):
    job_id = make_job(sql, carol, status=status)

    text = await browser.text(f"/ui/jobs/{job_id}")

    expected = {"pending": ["Waited"], "running": ["Waited", "Ran"]}.get(status, ["Waited", "Ran", status.capitalize()])
    assert [part for part in expected if part in text.partition("Submitted")[2]] == expected


async def test_a_result_can_be_read_and_downloaded(browser, carol, sql):
    result = {"number": 9223372036854775807, "text": HOSTILE}
    job_id = make_job(sql, carol, status="completed", result=json.dumps(result))

    page, file = await browser.get(f"/ui/jobs/{job_id}"), await browser.get(f"/ui/jobs/{job_id}/result")

    assert "9223372036854775807" in page.text
    assert json.loads(file.content) == result
    assert file.headers["content-disposition"] == f'attachment; filename="result-{job_id}.json"'
    assert file.headers["content-security-policy"] == "sandbox"


async def test_a_large_result_is_shown_in_part_and_downloaded_whole(browser, carol, sql):
    job_id = make_job(sql, carol, status="completed", result=json.dumps("x" * 2_000_000))

    page, file = await browser.get(f"/ui/jobs/{job_id}"), await browser.get(f"/ui/jobs/{job_id}/result")

    assert "Only the beginning is shown." in words_of(page.text)
    assert len(page.text) < 100_000
    assert len(file.content) == 2_000_002


async def test_whatever_a_job_says_is_text(browser, carol, sql):
    job_id = make_job(
        sql,
        carol,
        status="failed",
        title=HOSTILE,
        description=HOSTILE,
        tags=[HOSTILE],
        parameters=json.dumps({HOSTILE: HOSTILE}),
        error_message=HOSTILE,
        error_code=HOSTILE,
        progress_message=HOSTILE,
    )

    for path in ("/ui/jobs", f"/ui/jobs/{job_id}", f"/ui/new?again={job_id}", f"/ui/jobs?q={HOSTILE}", f"/ui/sign-in?next={HOSTILE}"):
        text = (await browser.get(path)).text

        assert "<img" not in text
        assert "<script>" not in text
        assert "49" not in words_of(text).replace(str(job_id), "")[:200]


async def test_a_running_job_is_asked_to_stop(browser, carol, sql):
    job_id = make_job(sql, carol, status="running")

    answer = await browser.post(f"/ui/jobs/{job_id}/cancel", reason="changed my mind", back="/ui/jobs?status=running")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs?status=running&notice=stopping")
    assert job_row(sql, job_id).intervention_reason == "changed my mind"
    assert "The job was asked to stop." in await browser.text("/ui/jobs?notice=stopping")


async def test_a_failed_job_is_retried(browser, carol, sql):
    job_id = make_job(sql, carol, status="failed")

    answer = await browser.post(f"/ui/jobs/{job_id}/retry")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job_id}?notice=retried")
    assert job_row(sql, job_id).status == "pending"
    [row] = sql.execute("SELECT actor_id, request_id FROM audit_log WHERE verb = 'retry'").fetchall()
    assert (row.actor_id, bool(row.request_id)) == (carol.id, True)


async def test_what_is_not_possible_any_more_says_so(browser, carol, sql):
    job_id = make_job(sql, carol, status="completed")

    answer = await browser.post(f"/ui/jobs/{job_id}/retry")

    assert answer.status_code == 409
    assert "is completed; retry is not possible from there" in words_of(answer.text)


async def test_an_administrator_completes_a_job_by_hand(root_browser, root, carol, sql):
    job_id = make_job(sql, carol, status="failed")

    answer = await root_browser.post(f"/ui/jobs/{job_id}/force-complete", reason="printed it", result='{"by": "hand"}')

    assert answer.status_code == 303
    row = job_row(sql, job_id)
    assert (row.status, row.result, row.intervention_reason) == ("completed", {"by": "hand"}, "printed it")


@pytest.mark.parametrize("fields", [{"result": "[1]"}, {"result": "{"}, {"result": '{"a": 1, "a": 2}'}, {"reason": "x" * 501}])
async def test_a_result_that_is_no_object_and_a_long_reason_are_refused(root_browser, carol, sql, fields):
    job_id = make_job(sql, carol, status="failed")

    answer = await root_browser.post(f"/ui/jobs/{job_id}/force-complete", **fields)

    assert answer.status_code == 400
    assert job_row(sql, job_id).status == "failed"


async def test_a_notice_is_one_of_ours(browser):
    assert "anything" not in await browser.text("/ui/jobs?notice=anything")


async def test_the_way_back_carries_no_notice_of_what_was_done_before(browser):
    text = (await browser.get("/ui/jobs?status=failed&notice=stopping")).text

    assert 'name="back" value="/ui/jobs?status=failed"' in text
