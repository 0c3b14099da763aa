"""Errors over HTTP: each class of the tree has its status, and every body is an RFC 9457 problem."""

import inspect

import pytest

from jobhub.domain import errors
from jobhub.domain.jobs import JobStatus, Verb
from jobhub.web import problems
from tests import factories

SOME_ID = "01890a5d-0000-7000-8000-0000deadbeef"
# Roots nobody raises, and what ends a process or an attempt and never reaches a response.
NOT_FOR_HTTP = {errors.JobhubError, errors.OperatorError, errors.JobFailed, errors.Refusal, errors.Conflict, errors.Throttled}


def test_every_error_has_a_status():
    tree = {member for _, member in inspect.getmembers(errors, inspect.isclass) if issubclass(member, errors.JobhubError)}

    assert tree - NOT_FOR_HTTP == set(problems.STATUS)


@pytest.mark.parametrize("error", sorted(problems.STATUS, key=lambda error: error.__name__))
def test_every_error_has_a_code_of_its_own(error):
    same = [other for other in problems.STATUS if other.code == error.code]

    assert same == [error]


def test_the_tree_in_the_docstring_names_every_error():
    tree = {name for name, member in inspect.getmembers(errors, inspect.isclass) if issubclass(member, errors.JobhubError)}

    assert {word for word in (errors.__doc__ or "").split() if word in tree} == tree


async def test_an_error_is_a_problem_document(api, alice):
    path = f"/jobs/{SOME_ID}"

    response = await api.call(alice, "GET", path)

    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem == {
        "type": "urn:jobhub:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": f"No job '{SOME_ID}' that you can see.",
        "instance": path,
        "code": "not_found",
        "request_id": response.headers["x-request-id"],
    }


async def test_a_conflict_tells_the_present_status(api, alice, sql):
    job_id = factories.make_job(sql, alice, status=JobStatus.COMPLETED)

    problem = (await api.call(alice, "POST", f"/jobs/{job_id}/cancel")).json()

    assert (problem["status"], problem["job_status"]) == (409, "completed")
    assert problem["detail"] == str(errors.IllegalTransition(job_id, Verb.CANCEL, JobStatus.COMPLETED))


async def test_a_bug_tells_the_client_no_more_than_the_request_id(api, alice, sql):
    sql.execute("ALTER TABLE jobs RENAME COLUMN title TO heading")

    posted = await api.call(alice, "POST", "/jobs", {"job_type": "test.echo", "title": "x"})

    assert (posted.status_code, posted.json()["code"]) == (500, "internal_error")
    assert posted.json()["request_id"] == posted.headers["x-request-id"]
    assert "heading" not in posted.text
    assert "title" not in posted.json()["detail"]
