"""What pages promise: nothing runs but our files, and who may no longer look is told so, wherever a page stands open."""

import re

import psycopg
from playwright.sync_api import expect

from jobhub.cli.state import read_running
from tests.browser.people import PASSWORD


def database(jobhub):
    running = read_running(jobhub.data_dir)
    assert running is not None
    return psycopg.connect(running.dsn, autocommit=True)


def end_sessions(jobhub, email):
    with database(jobhub) as sql:
        sql.execute("DELETE FROM sessions USING users WHERE users.id = user_id AND email = %s", [email])


def sign_in_again(page, email, password=PASSWORD):
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_no_page_can_run_or_dress_what_is_not_a_file_of_ours(person):
    page = person.page
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.body.append(style);
            const image = new Image();
            image.src = "http://127.0.0.1:9/x.png";
        }"""
    )
    page.wait_for_timeout(300)

    assert page.evaluate("typeof hacked") == "undefined"
    expect(page.get_by_role("heading", name="My jobs")).to_be_visible()
    assert len([text for text in person.watched.bad if "Content Security Policy" in text]) >= 3, person.watched.bad
    person.watched.bad.clear()  # what was tried, which the policy kept from happening


def test_a_session_that_ends_under_an_open_page_leads_to_the_sign_in_and_back(person, jobhub):
    page = person.page
    page.goto("/ui/jobs?status=failed")
    end_sessions(jobhub, person.email)
    person.api.post("/jobs", json={"job_type": "demo.fail", "title": "Unseen", "parameters": {}})

    page.get_by_role("link", name="Sign in again").click(timeout=40_000)
    sign_in_again(page, person.email)

    page.wait_for_url("**/ui/jobs?status=failed")
    expect(page.get_by_role("link", name="Unseen")).to_be_visible()
    person.watched.bad.clear()  # the browser itself reports the 401


def test_an_act_after_the_end_of_the_session_does_nothing_and_leads_back_to_its_page(person, jobhub):
    job_id = person.submit("demo.sleep", "Still runs", seconds=600)
    page = person.page
    page.goto(f"/ui/jobs/{job_id}")
    end_sessions(jobhub, person.email)
    page.get_by_role("button", name="Cancel").click()
    sign_in_again(page, person.email)

    expect(page.get_by_role("heading", name="Still runs")).to_be_visible()
    assert person.api.get(f"/jobs/{job_id}").json()["cancel_requested_at"] is None
    person.api.post(f"/jobs/{job_id}/cancel")
    person.watched.bad.clear()


def test_a_disabled_account_sees_nothing_more_on_its_open_page(person, administrator):
    page = person.page
    row_id = person.submit("demo.steps", "Was seen", steps=40, seconds_per_step=0.5)
    expect(page.locator(f"#job-{row_id} .chip")).to_have_text("Running")
    admin = administrator.page
    admin.goto(f"/ui/admin/users?q={person.email}")
    admin.get_by_role("button", name=f"Disable {person.email}").click()
    admin.get_by_role("button", name="Disable the account").click()
    expect(admin.get_by_text("The account was disabled.")).to_be_visible()

    expect(page.locator("#connection")).to_contain_text("You are signed out.", timeout=40_000)
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in_again(page, person.email)
    expect(page.get_by_role("alert")).to_contain_text("E-mail address or password is wrong.")
    person.watched.bad.clear()  # the browser itself reports the 401s
    administrator.api.post(f"/jobs/{row_id}/cancel")


def test_a_user_at_an_administrators_address_is_told_and_shown_the_way(person):
    for path in ("/ui/admin", "/ui/admin/jobs", "/ui/admin/users"):
        person.page.goto(path)
        expect(person.page.get_by_text("Only an administrator may do this.")).to_be_visible()
    person.page.get_by_role("link", name="Go to my jobs").click()

    expect(person.page.get_by_role("heading", name="My jobs")).to_be_visible()
    assert all("403" in text for text in person.watched.bad)
    person.watched.bad.clear()


def test_of_two_tabs_the_one_that_stands_still_is_told_what_the_other_did(person):
    job_id = person.submit("demo.sleep", "In two tabs", seconds=600)
    first, second = person.page, person.watched.open("/ui/jobs")
    for page in (first, second):
        expect(page.locator(f"#job-{job_id} .chip")).to_have_text("Running")
    second.locator(f"#job-{job_id}").get_by_role("checkbox").check()

    first.get_by_role("button", name="Cancel In two tabs").click()
    expect(first.locator(f"#job-{job_id} .chip")).to_have_text("Cancelled")
    expect(second.locator(f"#job-{job_id} .chip")).to_have_text("Running")
    second.get_by_role("button", name="Cancel…").click()

    expect(second.get_by_role("heading", name="Nothing to cancel")).to_be_visible()
    second.get_by_role("link", name="Back").click()
    expect(second.locator(f"#job-{job_id} .chip")).to_have_text("Cancelled")


def test_a_double_click_on_submit_makes_one_job(person):
    page = person.page
    page.goto("/ui/new?type=demo.sleep")
    page.get_by_label("Title").fill("Only once")
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.get_by_role("heading", name="Only once")).to_be_visible()

    assert person.api.get("/jobs").json()["total"] == 1


def test_going_back_after_a_bulk_act_shows_the_question_and_then_the_list(person):
    for number in range(2):
        person.finished(person.submit("demo.fail", f"Fails {number}"))
    page = person.page
    page.goto("/ui/jobs?status=failed")
    page.get_by_label("Select all of this page").check()
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("button", name="Retry 2 jobs").click()
    expect(page.get_by_role("heading", name="2 jobs back in the queue")).to_be_visible()

    page.go_back()
    expect(page.get_by_role("heading", name=re.compile("Retry 2 jobs|Nothing to retry"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="My jobs")).to_be_visible()
    expect(page.locator("tr[data-job]")).to_have_count(2)


def test_the_password_is_changed_and_another_browser_is_signed_out(person, browser, jobhub):
    page = person.page
    other = browser.new_context(base_url=jobhub.url)
    elsewhere = other.new_page()
    elsewhere.goto("/ui/jobs")
    sign_in_again(elsewhere, person.email)
    page.get_by_role("link", name=person.email).click()
    page.get_by_label("Old password").fill("not the right one")
    for label in ("New password once more", "New password"):
        page.get_by_label(label, exact=True).fill("an even better password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator("#old-error")).to_have_text("is wrong")
    page.get_by_label("Old password").fill(PASSWORD)
    for label in ("New password once more", "New password"):
        page.get_by_label(label, exact=True).fill("an even better password")
    page.get_by_role("button", name="Change the password").click()

    expect(page.get_by_text("Your password was changed.")).to_be_visible()
    elsewhere.reload()
    sign_in_again(elsewhere, person.email, "an even better password")
    expect(elsewhere.get_by_role("heading", name="My jobs")).to_be_visible()
    other.close()
    person.watched.bad.clear()  # the browser itself reports the 400
