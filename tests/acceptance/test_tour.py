"""The tour of the README, taken for real: one `jobhub up`, a user, an administrator, every built-in job type."""

import http.server
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.service import Service, service, wait_for

pytestmark = pytest.mark.xdist_group("tour")


@pytest.fixture(scope="module")
def jobhub() -> Iterator[Service]:
    with service(JOBHUB_HTTP_ALLOW_PRIVATE="1") as started:
        yield started


@pytest.fixture(scope="module")
def admin(jobhub: Service) -> httpx.Client:
    return jobhub.log_in(*jobhub.administrator())


@pytest.fixture(scope="module")
def user(jobhub: Service) -> httpx.Client:
    added = jobhub.run("users", "add", "user@example.org", "--password-stdin", stdin="correct horse battery\n")
    assert added.returncode == 0, added.stderr
    return jobhub.client(jobhub.run("token", "user@example.org").stdout.strip())


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """A server to send requests to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(201)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"you sent": ' + body + b"}")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


def submit(client: httpx.Client, job_type: str, **parameters: object) -> str:
    answer = client.post("/jobs", json={"job_type": job_type, "title": f"try {job_type}", "parameters": parameters})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def job(client: httpx.Client, job_id: str) -> dict:
    return client.get(f"/jobs/{job_id}").json()


def finished(client: httpx.Client, job_id: str, *, seconds: float = 30) -> dict:
    return wait_for(lambda: (now := job(client, job_id))["completed_at"] and now, seconds=seconds)


def test_http_request_calls_the_url_and_keeps_the_answer(user, website):
    job_id = submit(user, "http.request", url=website, method="POST", json={"a": [1, None]}, expected_status=201)

    done = finished(user, job_id)

    assert done["status"] == "completed", done
    assert done["result"]["status"] == 201
    assert done["result"]["json"] == {"you sent": {"a": [1, None]}}


def test_report_query_is_for_administrators_and_returns_rows(user, admin):
    refused = user.post("/jobs", json={"job_type": "report.query", "title": "x", "parameters": {"report": "throughput_by_hour"}})
    done_before = finished(user, submit(user, "demo.sleep", seconds=0))

    done = finished(admin, submit(admin, "report.query", report="throughput_by_hour", parameters={"hours": 2}))

    assert (refused.status_code, refused.json()["code"]) == (403, "admin_only_job_type")
    assert done_before["result"] == {"slept_seconds": 0.0, "attempt": 1}
    assert done["status"] == "completed", done
    assert "demo.sleep" in [row[1] for row in done["result"]["rows"]]


def test_progress_rises_and_a_cancel_half_way_ends_the_job(user):
    job_id = submit(user, "demo.steps", steps=50, seconds_per_step=0.2)

    first = wait_for(lambda: job(user, job_id)["progress_percentage"], seconds=20)
    second = wait_for(lambda: (now := job(user, job_id)["progress_percentage"]) > first and now, seconds=20)
    answer = user.post(f"/jobs/{job_id}/cancel", json={"reason": "changed my mind"}).json()
    done = finished(user, job_id)

    assert answer["status"] == "running"
    assert answer["cancel_requested_at"]
    assert done["status"] == "cancelled"
    assert second <= done["progress_percentage"] < 100
    assert [attempt["outcome"] for attempt in user.get(f"/jobs/{job_id}/attempts").json()] == ["cancelled"]


def test_a_failed_job_says_why_and_can_be_retried_and_force_completed(user, admin):
    job_id = submit(user, "demo.fail", message="The printer is on fire.", code="fire")

    failed = finished(user, job_id)
    retried = user.post(f"/jobs/{job_id}/retry")
    failed_again = finished(user, job_id)
    forced = admin.post(f"/jobs/admin/{job_id}/force-complete", json={"result": {"by": "hand"}, "reason": "printed it myself"})

    assert (failed["status"], failed["error_message"], failed["error_code"]) == ("failed", "The printer is on fire.", "fire")
    assert retried.status_code == 200
    assert retried.json()["error_message"] is None
    assert failed_again["attempt"] == 2
    assert forced.json()["status"] == "completed"
    assert job(user, job_id)["result"] == {"by": "hand"}


def test_a_crashing_process_harms_only_its_own_job(user):
    crashed = submit(user, "demo.crash")
    bystander = submit(user, "demo.sleep", seconds=0.5)

    assert finished(user, crashed)["error_code"] == "process_died"
    assert finished(user, bystander)["status"] == "completed"


def test_statistics_and_queue_status_agree_with_what_happened(user, admin):
    finished(user, submit(user, "demo.sleep", seconds=0))

    statistics = admin.get("/jobs/admin/statistics?window=1h").json()
    health = admin.get("/jobs/admin/queue-status").json()

    assert statistics["counts"]["completed"] >= 1
    assert 0 < statistics["success_rate"] <= 1
    assert health["healthy"], health
    assert [worker["alive"] for worker in health["workers"]] == [True]


def test_clean_up_removes_completed_jobs_and_keeps_failed_ones(user, admin):
    completed = submit(user, "demo.sleep", seconds=0)
    failed = submit(user, "demo.fail")
    finished(user, completed)
    finished(user, failed)

    preview = admin.delete("/jobs/admin/cleanup?days_old=0&dry_run=true").json()
    done = admin.delete("/jobs/admin/cleanup?days_old=0").json()

    assert preview["deleted"] == done["deleted"] > 0
    assert user.get(f"/jobs/{completed}").status_code == 404
    assert job(user, failed)["status"] == "failed"
