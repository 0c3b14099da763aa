"""The cases of the catalogue of bad input that need a job in some state, a header, or a wait: each with its status and its code."""

import pytest

from tests.factories import make_job, new_id
from tests.web.test_bad_input import JOB, USER_REQUESTS, assert_reveals_nothing, failures

FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id"}
OTHER_PARAMETERS = [
    *[
        ("B-81 " + value, "GET", f"/jobs/{{job}}?wait={value}", ..., 400, "invalid_request", ["?wait"])
        for value in ("-1", "1e9", "NaN", "61")
    ],
    ("B-72 a token in the query", "GET", "/jobs?access_token=x", ..., 400, "invalid_request", ["?access_token"]),
    ("B-49 a thousand statuses", "GET", "/jobs?" + "&".join(["status=nope"] * 1000), ..., 400, "invalid_request", ["?status"]),
    ("B-41 an encoded path", "GET", "/jobs/%252e%252e", ..., 404, "not_found", []),
    ("B-40 a UUID that is not there", "GET", f"/jobs/{new_id()}", ..., 404, "not_found", []),
    ("B-71 max_attempts is not the user's", "POST", "/jobs", JOB | {"max_attempts": 3}, 400, "invalid_request", ["/max_attempts"]),
    ("B-71 timeout_seconds is not the user's", "POST", "/jobs", JOB | {"timeout_seconds": 1}, 400, "invalid_request", ["/timeout_seconds"]),
    (
        "B-29 the first moment",
        "POST",
        "/jobs",
        JOB | {"scheduled_for": "0001-01-01T00:00:00+14:00"},
        400,
        "invalid_request",
        ["/scheduled_for"],
    ),
    ("B-30 two years ahead", "POST", "/jobs", JOB | {"scheduled_for": "2999-01-01T00:00:00Z"}, 400, "invalid_request", ["/scheduled_for"]),
    ("B-32 infinity", "POST", "/jobs", JOB | {"scheduled_for": "infinity"}, 400, "invalid_request", ["/scheduled_for"]),
]


@pytest.mark.parametrize("case", OTHER_PARAMETERS, ids=lambda case: case[0])
async def test_an_odd_request_is_refused_precisely_and_changes_nothing(api, alice, sql, case):
    job_id = make_job(sql, alice)
    name, method, path, *rest = case

    assert await failures(api, alice, [(name, method, path.format(job=job_id), *rest)]) == []
    assert sql.execute("SELECT count(*) AS n, max(version) AS version FROM jobs").fetchone() == (1, 1)


async def test_every_refusal_is_a_whole_problem_document(api, alice):
    for case, method, path, body, status, code, _ in USER_REQUESTS:
        response = await api.call(alice, method, path, body)
        problem = response.json()

        assert problem.keys() >= FIELDS, case
        assert (problem["status"], problem["code"]) == (status, code), case
        assert problem["request_id"] == response.headers["x-request-id"], case
        assert_reveals_nothing(response)


async def test_a_result_that_is_larger_than_a_body_may_be_is_a_413(api, alice, admin, sql):
    """B-62: the contract limits the body, not the result in it."""
    job_id = make_job(sql, alice)

    response = await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete", {"result": {"a": "x" * 262_144}})

    assert (response.status_code, response.json().get("code")) == (413, "payload_too_large")
    assert sql.execute("SELECT status FROM jobs").fetchone().status == "pending"
