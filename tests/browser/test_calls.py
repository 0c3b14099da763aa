"""The page of every call, in a browser that lets nothing of elsewhere run."""

from playwright.sync_api import expect

from tests.browser.people import Person


def test_a_call_is_tried_from_the_page(person: Person):
    page = person.page

    page.goto("/docs")
    page.locator("#operations-operations-livez").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    expect(page.locator(".opblock")).not_to_have_count(0)
