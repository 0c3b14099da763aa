"""Pins: an administrator keeps a job from every clean-up; everybody who sees the job sees that."""

from datetime import datetime

import pytest

from tests import factories
from tests.factories import job_row, make_job


def path(job_id):
    return f"/jobs/admin/{job_id}/pin"


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed", "cancelled"])
async def test_a_job_of_any_status_is_pinned_and_unpinned(api, alice, admin, sql, status):
    job_id = make_job(sql, alice, status=status)

    pinned = await api.call(admin, "PUT", path(job_id), {"reason": "the auditors want it"})
    shown = (await api.call(alice, "GET", f"/jobs/{job_id}")).json()
    listed = (await api.call(admin, "GET", "/jobs/admin/all")).json()["jobs"][0]
    unpinned = await api.call(admin, "DELETE", f"{path(job_id)}?reason=they+have+it")

    assert [(answer.status_code, answer.headers["etag"]) for answer in (pinned, unpinned)] == [(200, '"2"'), (200, '"3"')]
    assert pinned.json()["pinned_at"] == shown["pinned_at"] == listed["pinned_at"] == shown["updated_at"]
    assert (pinned.json()["status"], unpinned.json()["pinned_at"]) == (status, None)
    entries = sql.execute("SELECT * FROM audit_log ORDER BY id").fetchall()
    assert [(entry.verb, entry.job_id, entry.actor_id, entry.reason) for entry in entries] == [
        ("pin", job_id, admin.id, "the auditors want it"),
        ("unpin", job_id, admin.id, "they have it"),
    ]
    assert datetime.fromisoformat(entries[1].details["pinned_at"]) == datetime.fromisoformat(shown["pinned_at"])


@pytest.mark.parametrize("body", [..., b"", {}, {"reason": None}])
async def test_a_pin_needs_no_reason(api, alice, admin, sql, body):
    assert (await api.call(admin, "PUT", path(make_job(sql, alice)), body)).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_repeating_it_changes_nothing(api, alice, admin, sql, method):
    job_id = make_job(sql, alice)
    if method == "PUT":
        await api.call(admin, "PUT", path(job_id))
    before, acts = job_row(sql, job_id), sql.execute("SELECT FROM audit_log").fetchall()

    answer = await api.call(admin, method, path(job_id))

    assert (answer.status_code, answer.json()["version"]) == (200, before.version)
    assert job_row(sql, job_id) == before
    assert sql.execute("SELECT FROM audit_log").fetchall() == acts


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_job_that_is_not_there_is_a_404(api, admin, method):
    answer = await api.call(admin, method, path(factories.new_id()))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_reason_that_is_too_long_is_refused(api, alice, admin, sql):
    job_id = make_job(sql, alice)

    answers = [
        await api.call(admin, "PUT", path(job_id), {"reason": "x" * 501}),
        await api.call(admin, "DELETE", f"{path(job_id)}?reason={'x' * 501}"),
    ]

    assert [(answer.status_code, answer.json()["errors"][0]["pointer"]) for answer in answers] == [(400, "/reason"), (400, "?reason")]
    assert sql.execute("SELECT FROM audit_log").fetchall() == []


async def test_a_pin_outlasts_a_retry_and_a_clean_up_leaves_the_job(api, alice, admin, sql):
    job_id = make_job(sql, alice, status="failed")
    await api.call(admin, "PUT", path(job_id))
    await api.call(alice, "POST", f"/jobs/{job_id}/retry")
    await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete")

    cleaned = [await api.call(admin, "DELETE", f"/jobs/admin/cleanup?days_old=0&dry_run={dry_run}") for dry_run in ("true", "false")]
    still_there = job_row(sql, job_id)
    await api.call(admin, "DELETE", path(job_id))
    after = await api.call(admin, "DELETE", "/jobs/admin/cleanup?days_old=0")

    assert [answer.json()["deleted"] for answer in (*cleaned, after)] == [0, 0, 1]
    assert (still_there.status, still_there.pinned_at is not None) == ("completed", True)
    assert job_row(sql, job_id) is None
