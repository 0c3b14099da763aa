"""Takes the pictures of the documents: `python -m tests.browser.screenshots docs/images`, of a `jobhub up` with some days behind it."""

import random
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from playwright.sync_api import Browser, Page

from jobhub.cli.state import read_running
from tests.acceptance.service import Service, service
from tests.browser.chromium import launched
from tests.browser.people import make_account, sign_in

WIDTH, HEIGHT = 1280, 820
TITLES = [
    "Monthly report",
    "Import customers.csv",
    "Resize 240 pictures",
    "Send invoices",
    "Rebuild search index",
    "Export orders",
    "Nightly backup",
]


def take_all(directory: Path) -> None:
    """Write every picture."""
    directory.mkdir(parents=True, exist_ok=True)
    with service() as jobhub, launched() as browser:
        admin = jobhub.log_in(*jobhub.administrator())
        alice = make_account(jobhub, admin, "alice@example.org")
        root = make_account(jobhub, admin, "root@example.org", "admin")
        fill(alice)
        age(jobhub)
        live = alive(alice)
        for scheme in ("light", "dark"):
            take_of_user(directory, browser, jobhub, alice, live, scheme)
        take_of_administrator(directory, browser, jobhub, root)


def fill(api: httpx.Client) -> None:
    """Jobs that have ended, most of them well."""
    random.seed(7)  # the same pictures each time
    ids = []
    for number in range(70):
        title = f"{TITLES[number % len(TITLES)]}{f' {number // 7 + 1}' if number >= 7 else ''}"
        if number % 9 == 4:
            ids.append(submit(api, "demo.fail", title, message="The printer is on fire.", code="printer_on_fire"))
        elif number % 3:
            ids.append(submit(api, "demo.sleep", title, seconds=round(random.random() / 4, 2)))
        else:
            ids.append(submit(api, "demo.steps", title, steps=4, seconds_per_step=round(random.random() / 9, 2)))
    for job_id in ids:
        api.get(f"/jobs/{job_id}?wait=30", timeout=60)


def age(jobhub: Service) -> None:
    """Spread what has ended over the day before."""
    running = read_running(jobhub.data_dir)
    assert running is not None
    with psycopg.connect(running.dsn, autocommit=True) as sql:
        sql.execute(
            "WITH spread AS (SELECT id, make_interval(secs => 82000 * power(row_number() OVER (ORDER BY id DESC) / 70.0, 1.4)) AS by"
            " FROM jobs) UPDATE jobs SET created_at = created_at - by, due_at = due_at - by, started_at = started_at - by,"
            " completed_at = completed_at - by FROM spread WHERE jobs.id = spread.id AND completed_at IS NOT NULL"
        )
        sql.execute(
            "UPDATE job_attempts SET due_at = jobs.due_at, started_at = jobs.started_at, ended_at = jobs.completed_at"
            " FROM jobs WHERE jobs.id = job_id"
        )
        with sql.transaction():  # what was counted so far, counted at the times it has now
            sql.execute("TRUNCATE job_stat_changes, job_stats, job_time_stats, job_failure_stats")
            sql.execute("SELECT count_history_into_stats()")


def alive(api: httpx.Client) -> dict[str, str]:
    """Jobs in every other state."""
    live = {
        "failed": submit(
            api, "demo.fail", "Print the labels", message="The printer is on fire.\nSomebody should look at it.", code="printer_on_fire"
        ),
        "running": submit(api, "demo.steps", "Import customers.csv", steps=40, seconds_per_step=2.0),
        "sleeping": submit(api, "demo.sleep", "Rebuild search index", seconds=900),
        "completed": submit(api, "demo.steps", "Monthly report", steps=6, seconds_per_step=0.3),
    }
    later = {"job_type": "demo.sleep", "title": "Nightly backup", "parameters": {"seconds": 1}, "tags": ["nightly"]}
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4 * 3600))
    api.post("/jobs", json={**later, "scheduled_for": at})
    for name in ("failed", "completed"):
        api.get(f"/jobs/{live[name]}?wait=30", timeout=60)
    time.sleep(22)  # some steps of the one that runs
    return live


def submit(api: httpx.Client, job_type: str, title: str, **parameters: Any) -> str:
    return str(api.post("/jobs", json={"job_type": job_type, "title": title, "parameters": parameters}).json()["id"])


def take_of_user(directory: Path, browser: Browser, jobhub: Service, api: httpx.Client, live: dict[str, str], scheme: str) -> None:
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": WIDTH, "height": HEIGHT}}
    person = sign_in(browser, jobhub, "alice@example.org", api, **options)
    paths = {"my-jobs": "/ui/jobs", "job": f"/ui/jobs/{live['completed']}", "job-failed": f"/ui/jobs/{live['failed']}"}
    if scheme == "light":
        paths |= {"job-running": f"/ui/jobs/{live['running']}", "new-job": "/ui/new", "submit": "/ui/new?type=http.request"}
    for name, path in paths.items():
        take(person.page, path, directory / f"{name}{'-dark' if scheme == 'dark' else ''}.png")
    person.watched.close()
    if scheme == "light":
        person = sign_in(browser, jobhub, "alice@example.org", api, viewport={"width": 390, "height": 844})
        take(person.page, "/ui/jobs", directory / "my-jobs-phone.png")
        person.page.get_by_role("button", name="Sign out").click()
        take(person.page, "/ui/sign-in", directory / "sign-in.png")
        person.watched.close()


def take_of_administrator(directory: Path, browser: Browser, jobhub: Service, api: httpx.Client) -> None:
    person = sign_in(browser, jobhub, "root@example.org", api, viewport={"width": WIDTH, "height": HEIGHT})
    paths = {"overview": "", "all-jobs": "/jobs", "failures": "/failures", "workers": "/workers", "job-types": "/job-types"}
    for name, path in {**paths, "users": "/users", "clean-up": "/clean-up?days_old=0", "audit-log": "/audit-log"}.items():
        take(person.page, f"/ui/admin{path}", directory / f"{name}.png")
    person.watched.close()


def take(page: Page, path: str, file: Path) -> None:
    page.goto(path)
    page.wait_for_timeout(300)
    page.screenshot(path=file, full_page=file.stem == "overview")
    print(file)


if __name__ == "__main__":
    take_all(Path(sys.argv[1]))
