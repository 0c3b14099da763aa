"""Reading the audit log."""

from jobhub.store import audit
from tests.factories import make_job


async def test_entries_come_newest_first_with_the_names_of_those_they_are_about(db, sql, alice, bob):
    job_id = make_job(sql, alice, title="a job")
    sql.execute("INSERT INTO audit_log (actor_id, verb, job_id, reason) VALUES (%s, 'cancel', %s, 'why')", [bob.id, job_id])
    sql.execute("INSERT INTO audit_log (verb, user_id) VALUES ('create_user', %s)", [alice.id])

    newest, oldest = await audit.list_audit_log(db, before_id=None, limit=10)

    assert (newest.verb, newest.actor_email, newest.user_email, newest.job_id) == ("create_user", None, "alice@example.org", None)
    assert (oldest.verb, oldest.actor_email, oldest.job_title, oldest.reason) == ("cancel", "bob@example.org", "a job", "why")
    assert await audit.list_audit_log(db, before_id=newest.id, limit=10) == [oldest]
    assert await audit.list_audit_log(db, before_id=None, limit=1) == [newest]


async def test_an_entry_about_a_job_that_is_gone_keeps_its_id(db, sql, alice):
    job_id = make_job(sql, alice, status="completed")
    sql.execute("INSERT INTO audit_log (verb, job_id) VALUES ('cancel', %s)", [job_id])
    sql.execute("DELETE FROM jobs WHERE id = %s", [job_id])

    [entry] = await audit.list_audit_log(db, before_id=None, limit=10)

    assert (entry.job_id, entry.job_title) == (job_id, None)
