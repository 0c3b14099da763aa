"""The pages for administrators: what they show is what there is, and what they do is done."""

import re
from html import unescape

import pytest

from jobhub.services.audit import PER_PAGE
from jobhub.services.insight import Window
from tests.factories import job_row, make_job, make_user, make_worker
from tests.web.ui.pages import make_person, signed_in, words_of


async def test_the_overview_has_the_figures_and_the_checks(root_browser, carol, sql):
    make_worker(sql)
    for status in ("completed", "completed", "completed", "failed", "pending"):
        job_id = make_job(sql, carol, status=status)
        sql.execute(
            "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)"
            " SELECT id, 1, worker_id, due_at, started_at, started_at + interval '2 s', status::text::attempt_outcome,"
            " error_code, error_message FROM jobs WHERE id = %s AND status IN ('completed', 'failed')",
            [job_id],
        )
    sql.execute("SELECT count_history_into_stats()")

    text = await root_browser.text("/ui/admin?window=1h")

    for words in (
        "Pending 1 1 due",
        "Completed 3 1 hour",
        "Failed 1 1 hour",
        "Success 75.0 %",
        "Running time 2.0 s",
        "All is well",
        "Good Workers",
    ):
        assert words in text, words


async def test_the_chart_has_a_table_with_its_numbers(root_browser, carol, sql):
    make_job(sql, carol, status="completed")
    make_job(sql, carol, status="failed")
    sql.execute("SELECT count_history_into_stats()")

    text = (await root_browser.get("/ui/admin?window=1h")).text

    bars = re.findall(r'<rect class="(\w+)"[^>]*><title>[\d:]+: (\d+) \w+</title>', text)
    assert sorted(bars) == [("completed", "1"), ("failed", "1")]
    assert re.search(r"UTC</td><td[^>]*>1</td><td[^>]*>1</td><td[^>]*>0</td>", text)


@pytest.mark.parametrize("window", [*Window, "", "nonsense"])
async def test_the_overview_of_nothing_is_a_page_too(root_browser, window):
    text = await root_browser.text(f"/ui/admin?window={window}")

    assert "Something needs attention" in text
    assert "No jobs in this time." in text


async def test_all_jobs_are_searched_with_their_owners(root_browser, carol, bob, sql):
    make_job(sql, carol, title="carol's", status="failed")
    make_job(sql, bob, title="bob's", status="failed")

    everything = await root_browser.text("/ui/admin/jobs")
    bobs = await root_browser.text("/ui/admin/jobs?q=status:failed owner:BOB@example.org")

    assert "carol's test.echo · carol@example.org" in everything
    assert "bob's test.echo · bob@example.org" in everything
    assert ("bob's test.echo" in bobs, "carol's" in bobs) == (True, False)


async def test_failures_are_counted_by_type_error_and_time(root_browser, carol, sql):
    for hours, code in ((0.5, "boom"), (2, "boom"), (50, "boom"), (2, "fire"), (24 * 8, "old")):
        job_id = make_job(sql, carol, status="failed", error_code=code)
        sql.execute("UPDATE jobs SET completed_at = now() - make_interval(secs => %s) WHERE id = %s", [hours * 3600, job_id])
    sql.execute("SELECT count_history_into_stats()")

    text = await root_browser.text("/ui/admin/failures")

    assert re.search(r"test\.echo boom 1 2 3 3[01] min ago", text)  # in the minute that began then
    assert "test.echo fire 0 1 1 2 h ago" in text
    assert "old" not in text


async def test_a_number_of_failures_leads_to_these_jobs(root_browser, carol, sql):
    for title, code, days in (("the one", "boom", 1), ("another error", "fire", 1), ("long ago", "boom", 6)):
        job_id = make_job(sql, carol, status="failed", error_code=code, title=title)
        sql.execute("UPDATE jobs SET created_at = now() - make_interval(hours => %s) WHERE id = %s", [days * 24 - 12, job_id])
    sql.execute("SELECT count_history_into_stats()")

    page = (await root_browser.get("/ui/admin/failures")).text
    row = next(row for row in page.split("<tr>") if "boom" in row)
    day, week = [await root_browser.text(unescape(link)) for link in re.findall(r'href="([^"]+)"', row)[-2:]]

    assert [title in day for title in ("the one", "another error", "long ago")] == [True, False, False]
    assert [title in week for title in ("the one", "another error", "long ago")] == [True, False, True]


async def test_workers_show_their_lease_and_what_they_run(root_browser, carol, sql):
    alive, dead = make_worker(sql), make_worker(sql, lease_seconds=-90)
    make_job(sql, carol, status="running", worker_id=alive, title="what it runs")

    text = await root_browser.text("/ui/admin/workers")

    assert "Alive 1 of 10" in text
    assert "what it runs" in text
    assert f"{dead} Lost 0 of 10" in text
    assert re.search(r"over for 1 min 3\d s", text)


async def test_job_types_are_listed_with_figures(root_browser, carol, sql):
    make_job(sql, carol, status="completed")
    sql.execute("SELECT count_history_into_stats()")

    text = await root_browser.text("/ui/admin/job-types")

    assert "test.echo Return the value. default everybody 1 h 1 1 0 100 %" in text
    assert "test.admin For administrators. default administrators" in text


async def test_users_are_listed_with_what_they_use(root_browser, carol, sql):
    make_job(sql, carol)

    text = await root_browser.text("/ui/admin/users")
    some = await root_browser.text("/ui/admin/users?q=CAROL")

    assert "carol@example.org user 1 0 1 Active" in text
    assert ("root@example.org admin" in text, "root@example.org admin" in some) == (True, False)


async def test_users_come_a_page_at_a_time(root_browser, sql):
    for number in range(55):
        make_user(sql, f"user{number:02}@example.org")

    first, second = await root_browser.get("/ui/admin/users"), await root_browser.text("/ui/admin/users?page=2")

    assert 'href="/ui/admin/users?q=&amp;page=2"' in first.text
    assert ("user54@example.org" in first.text, "user54@example.org" in second) == (False, True)


async def test_a_user_is_disabled_signed_out_and_enabled_again(api, root_browser, root, carol, browser, sql):
    job_id = make_job(sql, carol)

    asked = await root_browser.post(f"/ui/admin/users/{carol.id}/disable")
    still = await browser.get("/ui/jobs")
    disabled = await root_browser.post(f"/ui/admin/users/{carol.id}/disable", confirmed="1")
    signed_out = await browser.get("/ui/jobs")
    enabled = await root_browser.post(f"/ui/admin/users/{carol.id}/enable")

    assert (disabled.headers["location"], enabled.headers["location"]) == (
        "/ui/admin/users?notice=disabled",
        "/ui/admin/users?notice=enabled",
    )
    assert "1 pending job of it is cancelled, for good." in words_of(asked.text)
    assert (still.status_code, signed_out.status_code) == (200, 303)
    assert job_row(sql, job_id).status == "cancelled"
    assert (await (await signed_in(api, carol)).get("/ui/jobs")).status_code == 200


async def test_the_last_administrator_stays(api, root_browser, root):
    answer = await root_browser.post(f"/ui/admin/users/{root.id}/disable", confirmed="1")

    assert answer.status_code == 409
    assert "last active administrator" in words_of(answer.text)


async def test_a_clean_up_is_previewed_and_then_done(root_browser, carol, sql):
    kept, gone = make_job(sql, carol, status="failed"), make_job(sql, carol, status="completed")
    cancelled = make_job(sql, carol, status="cancelled")

    preview = await root_browser.text("/ui/admin/clean-up?days_old=0")
    before = job_row(sql, gone)
    done = await root_browser.post("/ui/admin/clean-up", days_old="0")

    assert "Delete 1 job for good" in preview
    assert before is not None
    assert "1 job was deleted." in words_of(done.text)
    assert [bool(job_row(sql, job_id)) for job_id in (kept, gone, cancelled)] == [True, False, True]


@pytest.mark.parametrize("days", ["", "x", "-1", "36501", "1e3", "²"])
async def test_days_that_are_no_number_are_refused(root_browser, days):
    asked = await root_browser.get("/ui/admin/clean-up", params={"days_old": days})
    done = await root_browser.post("/ui/admin/clean-up", days_old=days)

    for answer in (asked, done):
        assert answer.status_code == 400
        assert re.search(r'id="days_old-error"><p>must be a whole number from 0 to 36500</p>', answer.text)


async def test_the_audit_log_says_who_did_what(root_browser, browser, carol, root, sql):
    job_id = make_job(sql, carol, title="the monthly report")
    await browser.post(f"/ui/jobs/{job_id}/cancel", reason="changed my mind")
    await root_browser.post(f"/ui/admin/users/{carol.id}/disable", confirmed="1")

    text = await root_browser.text("/ui/admin/audit-log")

    assert "carol@example.org Cancel the monthly report changed my mind from: pending" in text
    assert "root@example.org Change user carol@example.org" in text


async def test_the_audit_log_goes_on_where_a_page_ends(root_browser, sql):
    sql.execute("INSERT INTO audit_log (verb, reason) SELECT 'note', 'no ' || n || '.' FROM generate_series(1, %s) AS n", [PER_PAGE + 1])

    first = await root_browser.get("/ui/admin/audit-log")
    older = re.search(r'rel="next" href="([^"]+)"', first.text)[1]
    second = await root_browser.text(older)

    assert f"no {PER_PAGE + 1}." in words_of(first.text)
    assert "no 1." not in words_of(first.text)
    assert "no 1." in second
    assert "Older" not in second


async def test_whatever_a_user_is_called_is_text(api, root_browser, sql):
    make_person(sql, '"><script>alert(1)</script>@example.org')

    text = (await root_browser.get("/ui/admin/users")).text

    assert "<script>" not in text
