"""People with a browser each, on one running `jobhub up`."""

from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from tests.acceptance.service import Service, wait_for
from tests.browser.chromium import Watched

PASSWORD = "correct horse battery staple"


class Person:
    """A user who is signed in to the pages, and has a token for what a test prepares."""

    def __init__(self, watched: Watched, page: Page, email: str, api: httpx.Client) -> None:
        self.watched = watched
        self.page = page
        self.email = email
        self.api = api

    def submit(self, job_type: str, title: str, **parameters: Any) -> str:
        answer = self.api.post("/jobs", json={"job_type": job_type, "title": title, "parameters": parameters})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def finished(self, job_id: str) -> dict[str, Any]:
        return wait_for(lambda: (now := self.api.get(f"/jobs/{job_id}").json())["completed_at"] and now, seconds=30)


def make_account(jobhub: Service, admin: httpx.Client, email: str, role: str = "user") -> httpx.Client:
    """An account, and the API as it sees it."""
    answer = admin.post("/users", json={"email": email, "password": PASSWORD, "role": role})
    assert answer.status_code == 201, answer.text
    return jobhub.log_in(email, PASSWORD)


def sign_in(browser: Browser, jobhub: Service, email: str, api: httpx.Client, **options: Any) -> Person:
    """Through the form, as everybody does."""
    watched = Watched(browser, jobhub.url, **options)
    page = watched.open("/ui")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ui/jobs")
    return Person(watched, page, email, api)
