"""Every act of a person is in the audit log: who, what, to what, why, by which request; and no act happens that can't be put there."""

import pytest

from tests import factories
from tests.factories import make_job

REASON = {"reason": "because"}
NEW_USER = {"email": "new@example.org", "password": factories.PASSWORD, "role": "user"}

# (case, status of alice's job, by whom, method, path, body, verb, target, reason)
ACTS = [
    ("cancel", "pending", "alice", "POST", "/jobs/{job}/cancel", REASON, "cancel", "job", "because"),
    ("cancel by an administrator", "pending", "admin", "POST", "/jobs/{job}/cancel", REASON, "cancel", "job", "because"),
    ("ask to stop", "running", "alice", "POST", "/jobs/{job}/cancel", {}, "cancel", "job", None),
    ("retry", "failed", "alice", "POST", "/jobs/{job}/retry", {}, "retry", "job", None),
    ("retry a cancelled one", "cancelled", "admin", "POST", "/jobs/{job}/retry", {}, "retry", "job", None),
    ("force-complete", "failed", "admin", "POST", "/jobs/admin/{job}/force-complete", REASON, "force_complete", "job", "because"),
    ("pin", "running", "admin", "PUT", "/jobs/admin/{job}/pin", REASON, "pin", "job", "because"),
    ("clean-up", "completed", "admin", "DELETE", "/jobs/admin/cleanup?days_old=0", ..., "clean_up", None, None),
    ("create user", "running", "admin", "POST", "/users", NEW_USER, "create_user", "new user", None),
    ("change role", "running", "admin", "PATCH", "/users/{user}", {"role": "admin"}, "change_user", "user", None),
    ("change password", "running", "admin", "PATCH", "/users/{user}", {"password": "x" * 12}, "change_user", "user", None),
    ("disable", "running", "admin", "PATCH", "/users/{user}", {"disabled": True}, "change_user", "user", None),
    ("cancel by disable", "pending", "admin", "PATCH", "/users/{user}", {"disabled": True}, "cancel", "job", "the account was disabled"),
]
STATE = "SELECT (SELECT json_agg(u ORDER BY id) FROM users u)::text AS users, (SELECT json_agg(j ORDER BY id) FROM jobs j)::text AS jobs"
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW WHEN (NEW.verb = '{verb}') EXECUTE FUNCTION refuse();
"""


@pytest.fixture(params=ACTS, ids=[case[0] for case in ACTS])
def act(request):
    return request.param


@pytest.fixture
def job_id(act, alice, sql):
    return make_job(sql, alice, status=act[1])


async def do(api, act, alice, admin, job_id):
    _, _, by, method, path, body, *_ = act
    actor = {"alice": alice, "admin": admin}[by]
    return await api.call(actor, method, path.format(job=job_id, user=alice.id), body), actor


async def test_the_audit_log_says_who_did_what_to_what_and_why(api, alice, admin, sql, act, job_id):
    verb, target, reason = act[6:]

    answer, actor = await do(api, act, alice, admin, job_id)

    assert answer.status_code in (200, 201), answer.text
    (row,) = sql.execute("SELECT * FROM audit_log WHERE verb = %s", [verb]).fetchall()
    new_user = sql.execute("SELECT id FROM users WHERE email = 'new@example.org'").fetchone()
    user_id = {"user": alice.id, "new user": new_user and new_user.id}.get(target)
    assert (row.actor_id, row.request_id) == (actor.id, answer.headers["x-request-id"])
    assert (row.job_id, row.user_id, row.reason) == (job_id if target == "job" else None, user_id, reason)
    assert factories.PASSWORD not in str(row)
    assert "x" * 12 not in str(row.details)


async def test_what_can_not_be_put_on_record_does_not_happen(api, alice, admin, sql, act, job_id):
    before = sql.execute(STATE).fetchone()
    sql.execute(REFUSE.format(verb=act[6]))

    answer, _ = await do(api, act, alice, admin, job_id)

    assert answer.status_code == 500
    assert sql.execute(STATE).fetchone() == before
    assert sql.execute("SELECT FROM audit_log").fetchall() == []
