"""What somebody who has never read the documents does: submit, watch, cancel, retry, all without reloading a page."""

import re

from playwright.sync_api import expect


def mark(page):
    """A page that was loaded again has lost its mark."""
    page.evaluate("window.isTheSamePage = true")


def is_marked(page):
    return page.evaluate("window.isTheSamePage === true")


def test_a_job_is_submitted_from_the_form_and_watched_until_it_is_done(person):
    page = person.page
    page.get_by_role("link", name="New job").first.click()
    page.get_by_role("link", name="demo.steps").click()
    page.get_by_label("Title").fill("Watch me")
    page.get_by_label("steps (optional)", exact=True).fill("8")
    page.get_by_label("seconds_per_step").fill("0.6")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Watch me")).to_be_visible()
    mark(page)

    seen = set()
    for _ in range(200):
        seen |= set(page.locator("#job-life progress").evaluate_all("all => all.map(one => one.value)"))
        if page.locator("#job-life .chip.completed").count():
            break
        page.wait_for_timeout(100)

    expect(page.locator("#job-life .chip")).to_have_text("Completed")
    expect(page.locator("#result-json")).to_contain_text('"steps": 8')
    assert len([value for value in seen if 0 < value < 100]) >= 2, seen
    assert is_marked(page)


def test_a_list_shows_new_jobs_and_their_progress_by_itself(person):
    page = person.page
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    mark(page)

    person.submit("demo.steps", "Comes by itself", steps=6, seconds_per_step=0.5)

    row = page.locator("tr[data-job]")
    expect(row).to_contain_text("Comes by itself")
    expect(row.locator("progress")).to_have_count(1)
    expect(row.locator(".chip")).to_have_text("Completed", timeout=20_000)
    expect(page.get_by_role("link", name=re.compile("Completed 1"))).to_be_visible()
    assert is_marked(page)


def test_a_running_job_is_cancelled_from_the_list(person):
    job_id = person.submit("demo.sleep", "Stop me", seconds=600)
    page = person.page
    expect(page.locator(f"#job-{job_id} .chip")).to_have_text("Running")

    page.get_by_role("button", name="Cancel Stop me").click()

    expect(page.locator(f"#job-{job_id} .chip")).to_have_text("Cancelled")
    assert person.finished(job_id)["status"] == "cancelled"


def test_a_failed_job_says_why_and_is_retried(person):
    job_id = person.submit("demo.fail", "Fails", message="The printer is on fire.", code="fire")
    person.finished(job_id)
    page = person.page
    page.goto(f"/ui/jobs/{job_id}")
    expect(page.locator(".failure")).to_contain_text("The printer is on fire.")

    page.get_by_role("button", name="Retry").click()

    expect(page.locator("#job-attempts")).to_contain_text("No. 2")
    expect(page.locator("#job-life .chip")).to_have_text("Failed")


def test_what_is_wrong_in_a_form_is_said_beside_its_field(person):
    page = person.page
    page.goto("/ui/new?type=demo.steps")
    page.get_by_label("Title").fill("Too many")
    page.get_by_label("steps (optional)", exact=True).fill("5000")
    page.get_by_role("button", name="Submit").click()

    field = page.get_by_label("steps (optional)", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("5000")
    expect(page.locator(".field-error")).to_contain_text("1000")
    person.watched.bad.clear()  # the browser itself reports each answer of 400


def test_a_job_is_submitted_again_with_changes(person):
    job_id = person.submit("demo.sleep", "Once more", seconds=0.25)
    page = person.page
    page.goto(f"/ui/jobs/{job_id}")
    page.get_by_role("link", name="Submit again…").click()
    expect(page.get_by_label("Title")).to_have_value("Once more")
    page.get_by_label("seconds (optional)").fill("0")
    page.get_by_role("button", name="Submit").click()

    expect(page.locator("#parameters-json")).to_contain_text('"seconds": 0')


def test_thirty_failed_jobs_are_retried_together(person):
    job_ids = [person.submit("demo.fail", f"Fails {number}") for number in range(30)]
    for job_id in job_ids:
        person.finished(job_id)
    page = person.page

    page.goto("/ui/jobs?status=failed")  # 25 are on the page
    page.get_by_label("all 30 that match").check()
    expect(page.locator("#selected")).to_contain_text("All selected")
    page.get_by_role("button", name="Retry…").click()
    expect(page.get_by_role("heading")).to_contain_text(["Retry 30 jobs?"])
    page.get_by_role("button", name="Retry 30 jobs").click()
    expect(page.get_by_role("heading").first).to_contain_text("30 jobs back in the queue")
    for job_id in job_ids:
        person.finished(job_id)

    assert {person.api.get(f"/jobs/{job_id}").json()["attempt"] for job_id in job_ids} == {2}


def test_a_result_is_copied(person):
    job_id = person.submit("demo.sleep", "Copy me", seconds=0)
    person.finished(job_id)
    page = person.page
    page.goto(f"/ui/jobs/{job_id}")

    page.locator("#job-result").get_by_role("button", name="Copy").click()

    expect(page.locator("#job-result").get_by_role("button", name="Copied")).to_be_visible()


def test_signing_out_leads_to_the_sign_in(person):
    page = person.page
    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/ui/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
