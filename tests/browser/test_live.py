"""Live pages: they stand still while somebody selects, and heal when the connection was lost."""

import os
import signal
from pathlib import Path

from playwright.sync_api import expect

from tests.acceptance.service import children_of


def test_the_list_stands_still_while_a_row_is_selected(person):
    job_id = person.submit("demo.steps", "Selected", steps=12, seconds_per_step=0.5)
    page = person.page
    row = page.locator(f"#job-{job_id}")
    row.get_by_role("checkbox").check()
    expect(page.locator("#selected")).to_contain_text("1 selected")

    person.finished(job_id)
    other = person.submit("demo.sleep", "Comes later", seconds=0)
    person.finished(other)
    page.wait_for_timeout(3000)
    assert row.locator(".chip").text_content() in ("Pending", "Running")
    assert not page.locator(f"#job-{other}").count()

    row.get_by_role("checkbox").uncheck()
    expect(row.locator(".chip")).to_have_text("Completed")
    expect(page.locator(f"#job-{other}")).to_be_visible()


def test_a_reload_that_is_on_its_way_when_a_row_is_selected_changes_nothing(person):
    job_id = person.submit("demo.sleep", "Selected", seconds=600)
    page = person.page
    box = page.locator(f"#job-{job_id}").get_by_role("checkbox")
    expect(page.locator(f"#job-{job_id} .chip")).to_have_text("Running")
    asked = []

    def hold_back(route):
        asked.append(route)

    page.route("**/ui/jobs", hold_back)
    other = person.submit("demo.sleep", "Comes later", seconds=600)
    while not asked:
        page.wait_for_timeout(50)
    box.check()
    with page.expect_response("**/ui/jobs"):
        asked[0].continue_()
    page.unroute("**/ui/jobs")
    page.wait_for_timeout(500)

    assert box.is_checked()
    assert not page.locator(f"#job-{other}").count()
    box.uncheck()
    expect(page.locator(f"#job-{other}")).to_be_visible()


def test_a_hidden_tab_lets_go_of_its_stream_and_catches_up(person):
    job_id = person.submit("demo.steps", "Goes on meanwhile", steps=12, seconds_per_step=0.3)
    page = person.page
    row = page.locator(f"#job-{job_id}")
    expect(row.locator(".chip")).to_have_text("Running")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    hide(page, is_hidden=True)
    page.wait_for_timeout(1500)
    asked.clear()

    person.finished(job_id)
    page.wait_for_timeout(1500)
    assert row.locator(".chip").text_content() == "Running"
    assert asked == []

    hide(page, is_hidden=False)
    expect(row.locator(".chip")).to_have_text("Completed")


def hide(page, *, is_hidden):
    """As a browser tells a tab; Playwright's are never hidden."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_a_busy_list_is_painted_at_most_four_times_a_second(person):
    page = person.page
    for number in range(3):
        person.submit("demo.steps", f"Busy {number}", steps=100, seconds_per_step=0.03)
    expect(page.locator("progress").first).to_be_visible()
    page.evaluate(
        """() => {
            window.paints = [];
            new MutationObserver(() => window.paints.push(performance.now())).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    page.wait_for_timeout(2500)

    rows = page.evaluate("window.paints")
    bursts = [at for before, at in zip([-1000, *rows], rows, strict=False) if at - before > 20]
    assert 2 <= len(bursts) <= 16, bursts  # rows four times a second, the whole list every other second, times that go on


def test_shift_selects_the_rows_between(person):
    for number in range(5):
        person.finished(person.submit("demo.sleep", f"No {number}", seconds=0))
    page = person.page
    page.goto("/ui/jobs")
    boxes = page.locator("td.select input")
    boxes.nth(1).click()
    boxes.nth(3).click(modifiers=["Shift"])

    assert [box.is_checked() for box in boxes.all()] == [False, True, True, True, False]
    expect(page.locator("#selected")).to_contain_text("3 selected")


def test_a_page_says_when_the_connection_is_lost_and_heals(person, jobhub):
    page = person.page
    person.submit("demo.sleep", "Before", seconds=0)
    expect(page.locator("tr[data-job] .chip")).to_have_text("Completed")

    api = next(pid for pid in children_of(jobhub.process.pid) if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    try:
        os.kill(api, signal.SIGKILL)
        expect(page.locator("#connection")).to_contain_text("The connection is lost.")
    finally:
        jobhub.wait_until_answers()
    person.submit("demo.sleep", "Afterwards", seconds=0)

    expect(page.locator("#connection")).to_be_hidden(timeout=20_000)
    expect(page.get_by_role("link", name="Afterwards")).to_be_visible(timeout=20_000)
    person.watched.bad.clear()  # the browser itself reports each connection that is refused


def test_a_page_that_is_signed_out_elsewhere_says_so(person, browser, jobhub):
    page = person.page
    person.watched.context.request.get("/ui/jobs")
    token = page.locator("input[name=form_token]").first.get_attribute("value")
    answer = person.watched.context.request.post("/ui/sign-out", form={"form_token": token}, max_redirects=0)
    assert answer.status == 303

    person.submit("demo.sleep", "Unseen", seconds=0)

    expect(page.locator("#connection")).to_contain_text("You are signed out.", timeout=40_000)
    assert not page.get_by_role("link", name="Unseen").count()
    person.watched.bad.clear()  # the browser itself reports the 401
