"""Everything one has to do can be done with JavaScript off."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.people import PASSWORD


@pytest.fixture
def person(new_person):
    return new_person(java_script_enabled=False)


def test_submit_look_cancel_retry_and_search(person):
    page = person.page
    page.get_by_role("link", name="New job").first.click()
    page.get_by_role("link", name="demo.sleep").click()
    page.get_by_label("Title").fill("Without a script")
    page.get_by_label("seconds (optional)").fill("600")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("The job was submitted.")).to_be_visible()

    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The job was")).to_be_visible()
    person.finished(page.url.rpartition("/")[2].partition("?")[0])
    page.reload()
    expect(page.locator("#job-life .chip")).to_have_text("Cancelled")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("The job is back in the queue.")).to_be_visible()

    page.get_by_role("link", name="My jobs").click()
    page.get_by_label("Search").fill("without type:demo.sleep")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tr[data-job]")).to_have_count(1)
    page.get_by_role("button", name="Cancel Without a script").click()
    expect(page.get_by_text("The job was")).to_be_visible()


def test_many_are_selected_and_retried(person):
    for number in range(3):
        person.finished(person.submit("demo.fail", f"Fails {number}"))
    page = person.page
    page.goto("/ui/jobs?status=failed")
    for box in page.locator("td.select input").all():
        box.check()
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("button", name="Retry 3 jobs").click()

    expect(page.get_by_text("3 jobs back in the queue")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(f"{person.watched.url}/ui/jobs?status=failed")


def test_all_that_match_are_cancelled_also_those_of_other_pages(person):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for number in range(26):
        answer = person.api.post(
            "/jobs",
            json={
                "job_type": "demo.sleep",
                "title": f"Later {number}",
                "parameters": {"seconds": 0},
                "scheduled_for": tomorrow,
            },
        )
        assert answer.status_code == 201
    page = person.page
    page.goto("/ui/jobs?q=later")
    page.get_by_label("all 26 that match").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 26 jobs").click()

    expect(page.get_by_role("heading", name="26 jobs cancelled, or asked to stop")).to_be_visible()


def test_a_new_password(person):
    page = person.page
    page.get_by_role("link", name=person.email).click()
    page.get_by_label("Old password").fill(PASSWORD)
    for label in ("New password", "New password once more"):
        page.get_by_label(label, exact=True).fill("an even better password")
    page.get_by_role("button", name="Change the password").click()

    expect(page.get_by_text("Your password was changed.")).to_be_visible()


def test_signing_out(person):
    person.page.get_by_role("button", name="Sign out").click()

    expect(person.page.get_by_text("You are signed out.")).to_be_visible()
