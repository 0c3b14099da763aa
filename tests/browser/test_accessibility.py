"""axe-core finds nothing on any page, light, dark and on a phone; and no page is wider than a phone."""

import pytest

from tests.browser.chromium import Watched, axe_script

KINDS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 375, "height": 740}},
}
MINE = [
    "/ui/jobs",
    "/ui/jobs?q=status:nonsense",
    "/ui/new",
    "/ui/new?type=http.request",
    "/ui/account",
    "/ui/jobs/bulk?verb=retry&every=1",
    "/ui/nowhere",
]
ADMIN = ["", "/jobs", "/failures", "/workers", "/job-types", "/users", "/clean-up?days_old=0", "/audit-log"]


ONLY = {"dark": ", runOnly: ['color-contrast', 'link-in-text-block']"}  # all that a scheme changes


def violations(page, kind):
    """What axe says, short enough to read."""
    # By the protocol, which the policy of the page doesn't bind.
    found = page.evaluate(f"{axe_script().read_text()}; axe.run(document, {{resultTypes: ['violations']{ONLY.get(kind, '')}}})")
    return [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found["violations"]]


def is_too_wide(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture(scope="module", autouse=True)
def axe():
    if not axe_script().exists():
        pytest.skip("axe-core is not installed beside the tests: `make test` does that where there is npm")


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_has_a_violation(new_person, kind):
    administrator = new_person("admin", **KINDS[kind])
    failed = administrator.submit("demo.fail", "Fails, with a title that is long enough to need a second line on a phone")
    running = administrator.submit("demo.sleep", "Runs", seconds=600)
    completed = administrator.submit("demo.sleep", "Completes", seconds=0)
    for job_id in (failed, completed):
        administrator.finished(job_id)
    page = administrator.page
    wrong = {}
    for path in (*MINE, *(f"/ui/admin{path}" for path in ADMIN), *(f"/ui/jobs/{job_id}" for job_id in (failed, running, completed))):
        page.goto(path)
        if found := violations(page, kind):
            wrong[path] = found
        if is_too_wide(page):
            wrong.setdefault(path, []).append("is wider than the window")
    administrator.api.post(f"/jobs/{running}/cancel")
    administrator.watched.bad = [text for text in administrator.watched.bad if "404" not in text]  # /ui/nowhere

    assert wrong == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sign_in_has_none_either(browser, jobhub, kind):
    watched = Watched(browser, jobhub.url, **KINDS[kind])
    page = watched.open("/ui/sign-in")

    assert violations(page, kind) == []
    assert not is_too_wide(page)
    watched.close()
