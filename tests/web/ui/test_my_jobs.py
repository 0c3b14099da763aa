"""The list of one's own jobs: which, in which order, counted, searched, page by page."""

import re
from html import unescape

import pytest

from jobhub.store import listing
from jobhub.web.ui import my_jobs
from tests.factories import make_job
from tests.web.ui.pages import words_of


def titles(answer):
    return re.findall(r'class="title"[^>]*>([^<]*)<', answer.text)


async def test_ones_own_jobs_are_listed_newest_first_and_nobody_elses(browser, carol, bob, sql):
    for title in ("first", "second"):
        make_job(sql, carol, title=title)
    make_job(sql, bob, title="a secret of bob's")

    answer = await browser.get("/ui/jobs")

    assert titles(answer) == ["second", "first"]
    assert "secret" not in answer.text


async def test_the_oldest_come_first_when_asked_for_page_by_page(browser, carol, sql, monkeypatch):
    monkeypatch.setattr(my_jobs, "PER_PAGE", 2)
    monkeypatch.setattr(my_jobs, "MAX_TOTAL", 4)  # then cursors
    for number in range(5):
        make_job(sql, carol, title=f"no {number}")

    link = unescape(re.search(r'class="sort" href="([^"]+)"', (await browser.get("/ui/jobs")).text)[1])
    seen = []
    while link:
        answer = await browser.get(link)
        seen += titles(answer)
        found = re.search(r'rel="next" href="([^"]+)"', answer.text)
        link = found and unescape(found[1])

    assert seen == [f"no {number}" for number in range(5)]
    assert 'aria-sort="ascending"' in answer.text


async def test_the_title_says_how_many_run(browser, carol, sql):
    make_job(sql, carol, status="running")

    assert "<title>1 running · My jobs · jobhub</title>" in (await browser.get("/ui/jobs")).text


async def test_somebody_without_jobs_is_shown_the_way(browser):
    answer = await browser.get("/ui/jobs")

    assert "Nothing here yet." in words_of(answer.text)
    assert 'href="/ui/new"' in answer.text


async def test_each_tab_has_its_count_and_leads_to_its_jobs(browser, carol, sql):
    for status in ("failed", "failed", "completed", "pending"):
        make_job(sql, carol, status=status, title=f"it {status}")

    everything, failed = await browser.get("/ui/jobs"), await browser.get("/ui/jobs?status=failed")

    assert "All 4 Pending 1 Running 0 Completed 1 Failed 2 Cancelled 0" in words_of(everything.text)
    assert titles(failed) == ["it failed", "it failed"]
    assert re.search(r'href="/ui/jobs\?status=failed" aria-current="page"', failed.text)


async def test_a_search_keeps_its_words_and_its_tab(browser, carol, sql):
    for title, job_type in (("monthly report", "test.echo"), ("monthly bill", "test.sleep")):
        make_job(sql, carol, title=title, job_type=job_type, status="failed")

    answer = await browser.get("/ui/jobs", params={"q": "MONTHLY type:test.echo", "status": "failed"})

    assert titles(answer) == ["monthly report"]
    assert 'value="MONTHLY type:test.echo"' in answer.text
    assert 'name="status" value="failed"' in answer.text


async def test_a_search_that_is_not_understood_says_why(browser, carol, sql):
    make_job(sql, carol, title="a job")

    answer = await browser.get("/ui/jobs", params={"q": "owner:bob@example.org job"})

    assert "There is no key “owner:”." in words_of(answer.text)
    assert titles(answer) == ["a job"]


async def test_pages_lead_to_each_other_and_keep_the_filter(browser, carol, sql):
    for number in range(27):
        make_job(sql, carol, title=f"no {number}", status="failed")

    first = await browser.get("/ui/jobs?status=failed")
    second = await browser.get("/ui/jobs?status=failed&page=2")

    assert "1–25 of 27" in words_of(first.text)
    assert 'rel="next" href="/ui/jobs?status=failed&amp;page=2"' in first.text
    assert titles(second) == ["no 1", "no 0"]
    assert 'rel="prev" href="/ui/jobs?status=failed"' in second.text


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page=99999999999999999999", "page=-1", "page=²", "status=nonsense", "q=%00", "utm_source=x"]
)
async def test_what_means_nothing_in_the_address_is_ignored(browser, carol, sql, query):
    make_job(sql, carol, title="a job")

    assert titles(await browser.get(f"/ui/jobs?{query}")) == ["a job"]


async def test_a_cursor_that_is_not_ours_is_a_400_page(browser):
    answer = await browser.get("/ui/jobs?cursor=x")

    assert answer.status_code == 400
    assert "?cursor" in words_of(answer.text)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "running", "progress_percentage": 40, "progress_message": "Step 4 of 10"}, "Running 40 % 40 % Step 4 of 10"),
        ({"status": "failed"}, "Failed It went boom."),
        ({"status": "cancelled", "intervened_by": "owner", "intervention_reason": "changed my mind"}, "Cancelled by you: changed my mind"),
        ({"status": "cancelled", "intervened_by": "administrator"}, "Cancelled by the administrator"),
        ({"status": "pending"}, "Pending No worker is running for it"),
        ({"status": "completed"}, "Completed"),
    ],
)
async def test_a_row_says_how_it_stands(browser, carol, sql, columns, words):
    make_job(sql, carol, **columns)

    assert words in await browser.text("/ui/jobs")


async def test_what_waits_says_where_it_stands(browser, carol, sql):
    sql.execute(
        "INSERT INTO workers (id, host, pid, version, queues, concurrency, lease_until) VALUES"
        " (gen_random_uuid(), 'test', 1, '0', '{default}', 1, now() + interval '1 h')"
    )
    make_job(sql, carol)
    make_job(sql, carol)
    make_job(sql, carol, scheduled_for=sql.execute("SELECT now() + interval '150 minutes' AS at").fetchone().at)

    text = await browser.text("/ui/jobs")

    assert "Pending No. 2 in the queue" in text
    assert "Scheduled Starts in 2 h" in text


async def test_only_what_can_be_done_is_offered(browser, carol, sql):
    ids = {status: make_job(sql, carol, status=status) for status in ("pending", "running", "failed", "cancelled", "completed")}

    text = (await browser.get("/ui/jobs")).text

    offered = {status: re.findall(rf'formaction="/ui/jobs/{job_id}/(\w+)"', text) for status, job_id in ids.items()}
    assert offered == {"pending": ["cancel"], "running": ["cancel"], "failed": ["retry"], "cancelled": ["retry"], "completed": []}


async def test_a_tab_has_a_plus_where_there_are_more_and_only_there(browser, carol, sql, monkeypatch):
    monkeypatch.setattr(listing, "MAX_TOTAL", 3)
    for status in ("failed", "failed", "failed", "failed", "completed", "completed", "completed"):
        make_job(sql, carol, status=status)

    everything, completed = await browser.text("/ui/jobs"), await browser.text("/ui/jobs?status=completed")

    assert "All 3+ Pending 0 Running 0 Completed 3 Failed 3+ Cancelled 0" in everything
    assert "1–7 of 3+" in everything
    assert "1–3 of 3 " in completed
