"""A job that was stopped, or completed by hand, says in which role somebody did that, and why."""

import pytest

from tests import factories
from tests.factories import make_job


def said(job):
    return job["intervened_by"], job["intervention_reason"]


@pytest.mark.parametrize("status", ["pending", "running"])
@pytest.mark.parametrize(("who", "role"), [("alice", "owner"), ("admin", "administrator")])
async def test_a_cancelled_job_says_by_whom_and_why(api, request, alice, sql, who, role, status):
    job_id = make_job(sql, alice, status=status)
    path = f"/jobs/{job_id}"

    job = (await api.call(request.getfixturevalue(who), "POST", f"{path}/cancel", {"reason": "not needed"})).json()

    assert said(job) == (role, "not needed")
    assert said((await api.call(alice, "GET", path)).json()) == (role, "not needed")
    assert said((await api.call(alice, "GET", "/jobs")).json()["jobs"][0]) == (role, "not needed")


async def test_the_first_cancel_is_the_one_that_is_told(api, alice, admin, sql):
    path = f"/jobs/{make_job(sql, alice, status='running')}/cancel"
    await api.call(alice, "POST", path, {"reason": "first"})

    again = (await api.call(admin, "POST", path, {"reason": "second"})).json()

    assert said(again) == ("owner", "first")


@pytest.mark.parametrize("status", ["pending", "running", "failed", "cancelled"])
async def test_a_job_completed_by_hand_says_so(api, alice, admin, sql, status):
    job_id = make_job(sql, alice, status=status)

    await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete", {"reason": "the customer rang"})

    assert said((await api.call(alice, "GET", f"/jobs/{job_id}")).json()) == ("administrator", "the customer rang")


async def test_an_administrator_is_the_owner_of_their_own_jobs(api, admin, sql):
    job = (await api.call(admin, "POST", f"/jobs/{make_job(sql, admin)}/cancel")).json()

    assert said(job) == ("owner", None)


async def test_a_retry_clears_it(api, alice, sql):
    path = f"/jobs/{make_job(sql, alice)}"
    await api.call(alice, "POST", f"{path}/cancel", {"reason": "not needed"})

    assert said((await api.call(alice, "POST", f"{path}/retry")).json()) == (None, None)


async def test_a_disabled_owner_finds_why_their_jobs_were_cancelled(api, alice, admin, sql):
    job_id = make_job(sql, alice)

    await api.call(admin, "PATCH", f"/users/{alice.id}", {"disabled": True})

    row = factories.job_row(sql, job_id)
    assert (row.intervened_by, row.intervention_reason) == ("administrator", "the account was disabled")
