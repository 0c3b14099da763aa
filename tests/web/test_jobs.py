"""A user's own jobs: what each endpoint answers, from every status, and that nobody sees another's."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.jobs import JobStatus, Verb
from jobhub.domain.lifecycle import is_allowed
from tests import factories
from tests.factories import job_row, make_job, make_worker

JOB = {
    *("id", "job_type", "title", "description", "parameters", "tags", "priority", "status", "progress_percentage", "progress_message"),
    *("result", "error_message", "error_code", "attempt", "max_attempts", "scheduled_for", "created_at", "updated_at", "started_at"),
    *("completed_at", "cancel_requested_at", "intervened_by", "intervention_reason", "pinned_at", "version"),
}
PAGE = {"jobs", "page", "per_page", "total", "total_is_capped", "total_pages", "next_cursor"}
ATTEMPT = {"number", "worker", "started_at", "ended_at", "outcome", "error_code", "error_message", "traceback"}
JOB_TYPE = {"name", "summary", "queue", "audience", "timeout_seconds", "retry", "parameters_schema", "defaults"}


async def test_a_submitted_job_has_the_shape_of_the_contract(api, alice, sql):
    response = await api.call(
        alice,
        "POST",
        "/jobs",
        {
            "job_type": "test.echo",
            "title": " a job ",
            "description": "why",
            "parameters": {"value": [1]},
            "priority": 7,
            "tags": ["b", "a"],
        },
    )

    job = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert job.keys() == JOB | {"queue"}
    assert (
        job
        | {
            "title": "a job",
            "description": "why",
            "parameters": {"value": [1]},
            "priority": 7,
            "tags": ["b", "a"],
            "status": "pending",
            "attempt": 0,
            "version": 1,
            "progress_percentage": 0,
            "queue": {"position": 1, "reason": "no_worker"},
        }
        == job
    )
    assert job["created_at"].endswith("Z")
    assert job_row(sql, job["id"]).delivery_id is not None


async def test_what_was_submitted_is_read_and_listed_by_its_owner(api, alice):
    job = await api.submit(alice)

    read = await api.call(alice, "GET", f"/jobs/{job['id']}")
    listed = await api.call(alice, "GET", "/jobs")

    assert (read.status_code, read.json()) == (200, job)
    assert listed.json().keys() == PAGE
    assert listed.json() == {
        "jobs": [job],
        "page": 1,
        "per_page": 20,
        "total": 1,
        "total_is_capped": False,
        "total_pages": 1,
        "next_cursor": None,
    }


@pytest.mark.parametrize("status", [status for status in JobStatus if status is not JobStatus.PENDING])
async def test_only_a_pending_job_has_a_place_in_the_queue(api, alice, sql, status):
    job_id = make_job(sql, alice, status=status)

    job = (await api.call(alice, "GET", f"/jobs/{job_id}")).json()

    assert job.keys() == JOB
    assert (job["completed_at"] is not None) == status.is_finished


async def test_the_place_in_the_queue_says_why_a_job_does_not_run(api, alice, bob, sql):
    soon = datetime.now(UTC) + timedelta(hours=1)
    first, second, urgent = make_job(sql, bob), make_job(sql, alice), make_job(sql, bob, priority=5)
    scheduled = make_job(sql, alice, scheduled_for=soon)
    in_backoff = make_job(sql, alice, scheduled_for=soon, attempt=1, failed_attempts=1)
    elsewhere = make_job(sql, alice, queue="other")
    make_worker(sql)

    places = {
        job_id: (await api.call(owner, "GET", f"/jobs/{job_id}")).json()["queue"]
        for owner, job_id in ((bob, urgent), (bob, first), (alice, second), (alice, scheduled), (alice, in_backoff), (alice, elsewhere))
    }

    assert places == {
        urgent: {"position": 1, "reason": "queued"},
        first: {"position": 2, "reason": "queued"},
        second: {"position": 3, "reason": "queued"},
        scheduled: {"position": None, "reason": "scheduled"},
        in_backoff: {"position": None, "reason": "retry_backoff"},
        elsewhere: {"position": 1, "reason": "no_worker"},
    }


@pytest.mark.parametrize("body", [..., b"", {}, {"reason": None}, {"reason": "not needed any more"}])
async def test_cancel_takes_a_reason_or_none_or_no_body_at_all(api, alice, sql, body):
    job_id = make_job(sql, alice)

    response = await api.call(alice, "POST", f"/jobs/{job_id}/cancel", body)

    job = response.json()
    assert (response.status_code, job["status"], job.keys()) == (200, "cancelled", JOB)
    assert None not in (job["completed_at"], job["cancel_requested_at"])
    audit = sql.execute("SELECT * FROM audit_log").fetchone()
    assert (audit.actor_id, audit.verb, audit.job_id, audit.details) == (alice.id, "cancel", job_id, {"from": "pending"})
    assert (audit.reason, audit.request_id) == (body.get("reason") if isinstance(body, dict) else None, response.headers["x-request-id"])


@pytest.mark.parametrize("status", list(JobStatus))
@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.RETRY])
async def test_a_verb_of_users_is_a_200_where_it_is_allowed_and_a_409_elsewhere(api, alice, sql, verb, status):
    job_id = make_job(sql, alice, status=status)
    before = job_row(sql, job_id)

    response = await api.call(alice, "POST", f"/jobs/{job_id}/{verb}", {})

    if is_allowed(verb, status):
        after = {
            (Verb.CANCEL, JobStatus.PENDING): "cancelled",
            (Verb.CANCEL, JobStatus.RUNNING): "running",
            (Verb.CANCEL, JobStatus.CANCELLED): "cancelled",
            (Verb.RETRY, JobStatus.FAILED): "pending",
            (Verb.RETRY, JobStatus.CANCELLED): "pending",
        }
        assert (response.status_code, response.json()["status"]) == (200, after[verb, status])
    else:
        problem = response.json()
        assert (response.status_code, problem["code"], problem["job_status"]) == (409, "illegal_transition", status)
        assert job_row(sql, job_id) == before
        assert sql.execute("SELECT FROM audit_log").fetchall() == []


async def test_repeating_a_cancel_changes_nothing(api, alice, sql):
    job_id = make_job(sql, alice, status="running")

    first, again = [(await api.call(alice, "POST", f"/jobs/{job_id}/cancel")).json() for _ in range(2)]

    assert first == again
    assert (first["status"], first["cancel_requested_at"] is not None) == ("running", True)
    assert len(sql.execute("SELECT FROM audit_log").fetchall()) == 1


async def test_parallel_cancels_are_all_fine(api, alice, sql):
    job_id = make_job(sql, alice)

    responses = await asyncio.gather(*(api.call(alice, "POST", f"/jobs/{job_id}/cancel") for _ in range(6)))

    assert [response.status_code for response in responses] == [200] * 6
    assert len(sql.execute("SELECT FROM audit_log").fetchall()) == 1


async def test_a_retried_job_starts_afresh_and_keeps_its_attempts(api, alice, sql):
    job_id = make_job(
        sql,
        alice,
        status="failed",
        attempt=3,
        failed_attempts=2,
        lost_attempts=1,
        progress_percentage=40,
        progress_message="x",
        max_attempts=2,
    )
    sql.execute("UPDATE jobs SET scheduled_for = now() + interval '1 hour'")
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message)"
        " VALUES (%s, 3, gen_random_uuid(), now(), now(), 'failed', 'boom', 'It went boom.')",
        [job_id],
    )

    job = (await api.call(alice, "POST", f"/jobs/{job_id}/retry")).json()

    fresh = ("progress_message", "error_message", "error_code", "scheduled_for", "started_at", "completed_at", "cancel_requested_at")
    assert job["status"] == "pending"
    assert {name: job[name] for name in fresh} == dict.fromkeys(fresh)
    assert (job["attempt"], job["progress_percentage"], job["queue"]["position"]) == (3, 0, 1)
    assert (job_row(sql, job_id).failed_attempts, job_row(sql, job_id).lost_attempts) == (0, 0)
    assert [a["number"] for a in (await api.call(alice, "GET", f"/jobs/{job_id}/attempts")).json()] == [3]
    assert [row.verb for row in sql.execute("SELECT verb FROM audit_log").fetchall()] == ["retry"]


async def test_of_two_retries_at_once_one_is_refused(api, alice, sql):
    job_id = make_job(sql, alice, status="failed")

    responses = await asyncio.gather(*(api.call(alice, "POST", f"/jobs/{job_id}/retry", {}) for _ in range(2)))

    assert sorted(response.status_code for response in responses) == [200, 409]


async def test_attempts_are_listed_with_the_running_one_and_tracebacks_for_administrators_alone(api, alice, admin, sql):
    job_id = make_job(sql, alice, status="running", attempt=2)
    sql.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)"
        " VALUES (%s, 1, gen_random_uuid(), now(), now(), 'failed', 'boom', 'It went boom.', 'in line 1')",
        [job_id],
    )

    own = (await api.call(alice, "GET", f"/jobs/{job_id}/attempts")).json()
    full = (await api.call(admin, "GET", f"/jobs/{job_id}/attempts")).json()

    assert [attempt.keys() for attempt in own] == [ATTEMPT, ATTEMPT]
    assert [(a["number"], a["outcome"], a["error_message"], a["traceback"]) for a in own] == [
        (1, "failed", "It went boom.", None),
        (2, None, None, None),
    ]
    assert [a["traceback"] for a in full] == ["in line 1", None]


async def test_a_job_that_never_started_has_no_attempts(api, alice, sql):
    response = await api.call(alice, "GET", f"/jobs/{make_job(sql, alice)}/attempts")

    assert (response.status_code, response.json()) == (200, [])


ROUTES_OF_A_JOB = [("GET", ""), ("HEAD", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/attempts")]


@pytest.mark.parametrize(("method", "suffix"), ROUTES_OF_A_JOB)
async def test_somebody_elses_job_looks_like_one_that_does_not_exist(api, alice, bob, sql, method, suffix):
    foreign, unknown = make_job(sql, alice, status="failed"), factories.new_id()
    before = job_row(sql, foreign)

    answers = [await api.call(bob, method, f"/jobs/{job_id}{suffix}") for job_id in (foreign, unknown)]

    assert [answer.status_code for answer in answers] == [404, 404]
    texts = [
        answer.text.replace(str(job_id), "ID").replace(answer.headers["x-request-id"], "R")
        for answer, job_id in zip(answers, (foreign, unknown), strict=True)
    ]
    headers = [{name: value for name, value in answer.headers.items() if name != "x-request-id"} for answer in answers]
    assert texts[0] == texts[1]
    assert headers[0] == headers[1]
    assert job_row(sql, foreign) == before


async def test_an_administrator_sees_and_changes_every_job(api, alice, admin, sql):
    job_id = make_job(sql, alice)

    read = await api.call(admin, "GET", f"/jobs/{job_id}")
    cancelled = await api.call(admin, "POST", f"/jobs/{job_id}/cancel")

    assert (read.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert sql.execute("SELECT actor_id FROM audit_log").fetchone().actor_id == admin.id


async def test_an_upper_case_id_is_the_same_id(api, alice, sql):
    job_id = make_job(sql, alice)

    response = await api.call(alice, "GET", f"/jobs/{str(job_id).upper()}")

    assert response.json()["id"] == str(job_id)


async def test_job_types_say_what_to_send_and_hide_those_for_administrators(api, alice, admin):
    for_users = (await api.call(alice, "GET", "/job-types")).json()
    for_admins = (await api.call(admin, "GET", "/job-types")).json()

    assert [job_type["name"] for job_type in for_users] == ["test.echo", "test.sleep"]
    assert [job_type["name"] for job_type in for_admins] == ["test.admin", "test.echo", "test.sleep"]
    echo = for_users[0]
    assert echo.keys() == JOB_TYPE
    assert (echo["audience"], echo["retry"], echo["defaults"]) == ("user", {"max_attempts": 1}, {"value": None, "number": 1})
    assert "number" in str(echo["parameters_schema"])


async def test_an_administrator_may_submit_what_is_for_administrators(api, admin):
    assert (await api.submit(admin, job_type="test.admin"))["status"] == "pending"
