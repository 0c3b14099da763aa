"""The keyboard: everything a list can do without a mouse."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def page(person):
    """A list of three: a failed one, one that runs, a completed one at the top."""
    person.finished(person.submit("demo.fail", "Failed one"))
    person.submit("demo.sleep", "Running one", seconds=600)
    person.finished(person.submit("demo.sleep", "Completed one", seconds=0))
    person.page.goto("/ui/jobs")
    expect(person.page.locator("tr[data-job]")).to_have_count(3)
    return person.page


def here(page):
    return page.locator("tr.here .title").text_content()


def test_j_and_k_move_and_enter_opens(page):
    moves = []
    for key in ("j", "j", "j", "j", "k"):
        page.keyboard.press(key)
        moves.append(here(page))
    page.keyboard.press("Enter")

    assert moves == ["Completed one", "Running one", "Failed one", "Failed one", "Running one"]
    expect(page.get_by_role("heading", name="Running one")).to_be_visible()


def test_slash_searches_and_letters_are_letters_there(page):
    page.keyboard.press("/")
    page.keyboard.type("jkxce?failed")
    assert page.locator("#q").input_value() == "jkxce?failed"
    page.locator("#q").fill("failed one")
    page.keyboard.press("Enter")

    expect(page.locator("tr[data-job]")).to_have_count(1)


def test_x_selects_and_escape_forgets(page):
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.locator("#selected")).to_contain_text("3 selected")
    page.keyboard.press("Escape")

    assert page.locator("td.select input:checked").count() == 0


def test_c_cancels_and_e_retries(page):
    for key in ("j", "j", "c"):
        page.keyboard.press(key)
    expect(page.get_by_role("status").get_by_text("The job was")).to_be_visible()
    expect(page.locator("tr", has_text="Running one").locator(".chip")).to_have_text("Cancelled")
    for key in ("j", "j", "j", "e"):
        page.keyboard.press(key)

    expect(page.get_by_role("status").get_by_text("The job is back in the queue.")).to_be_visible()


def test_a_question_mark_shows_the_keys(page):
    page.keyboard.press("?")

    expect(page.get_by_role("dialog")).to_contain_text("Next job, previous job")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_keys_with_ctrl_are_the_browsers(page):
    page.keyboard.press("Control+j")

    assert page.locator("tr.here").count() == 0
