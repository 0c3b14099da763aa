"""What the database refuses whoever asks: the CHECKs and triggers behind every promise about rows."""

import psycopg
import pytest

from tests.factories import make_job, make_worker

# (what is done to a job of that status, the constraint that refuses it)
REFUSED_JOBS = [
    ("pending", "delivery_id = NULL", "jobs_delivery_check"),
    ("pending", "deliver_at = now()", "jobs_delivery_check"),
    ("running", "delivery_id = 1", "jobs_delivery_check"),
    ("completed", "deliver_at = now()", "jobs_delivery_check"),
    ("completed", "completed_at = NULL", "jobs_finished_check"),
    ("running", "completed_at = now()", "jobs_finished_check"),
    ("running", "worker_id = NULL", "jobs_running_check"),
    ("running", "started_at = NULL", "jobs_running_check"),
    ("running", "attempt = 0", "jobs_running_check"),
    ("running", "progress_percentage = 101", "jobs_progress_check"),
    ("running", "progress_percentage = -1", "jobs_progress_check"),
    ("running", "result = '{}'", "jobs_result_check"),
    ("completed", "error_code = 'x'", "jobs_error_check"),
    ("failed", "error_code = NULL", "jobs_error_check"),
    ("failed", "error_message = NULL", "jobs_error_check"),
    ("pending", "cancel_requested_at = now()", "jobs_cancel_check"),
    ("pending", "parameters = '[]'", "job_parameters_check"),
    ("pending", "priority = 101", "job_priority_check"),
    ("pending", "priority = -101", "job_priority_check"),
    ("pending", "title = ''", "job_title_check"),
    ("pending", "title = ' x'", "job_title_check"),
    ("pending", "title = repeat('x', 201)", "job_title_check"),
    ("pending", "description = repeat('x', 4001)", "job_description_check"),
    ("pending", "tags = array_fill('x'::text, ARRAY[21])", "job_tags_check"),
    ("pending", "queue = 'No Queue'", "queue_name_check"),
    ("pending", "job_type = ''", "job_type_name_check"),
    ("pending", "failed_attempts = 1", "jobs_attempts_check"),
    ("pending", "max_attempts = 0", "jobs_attempts_check"),
    ("pending", "version = 0", "jobs_version_check"),
]


@pytest.fixture
def one_of_each(sql, alice):
    return {status: make_job(sql, alice, status=status) for status in ("pending", "running", "completed", "failed", "cancelled")}


def test_a_job_that_can_not_be_is_refused(sql, one_of_each):
    for status, change, constraint in REFUSED_JOBS:
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            sql.execute(f"UPDATE jobs SET {change} WHERE id = %s", [one_of_each[status]])

        assert refused.value.diag.constraint_name == constraint, change


def test_every_constraint_of_jobs_and_its_types_has_a_case(sql):
    found = sql.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND (conrelid = 'jobs'::regclass"
        " OR contypid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = 'jobs'::regclass))"
    ).fetchall()

    assert {row.conname for row in found} == {constraint for _, _, constraint in REFUSED_JOBS}


# (statement, the error it ends with)
REFUSED = [
    ("DELETE FROM users", psycopg.errors.RestrictViolation),
    ("TRUNCATE users CASCADE", psycopg.errors.RestrictViolation),
    ("UPDATE audit_log SET reason = 'another'", psycopg.errors.RestrictViolation),
    ("DELETE FROM audit_log", psycopg.errors.RestrictViolation),
    ("DELETE FROM audit_log WHERE at < now() - interval '1 year'", psycopg.errors.RestrictViolation),
    (
        "SET jobhub.removes_from = 'audit_log'; DELETE FROM audit_log WHERE at > now() - interval '29 days'",
        psycopg.errors.RestrictViolation,
    ),
    ("TRUNCATE audit_log", psycopg.errors.RestrictViolation),
    ("INSERT INTO audit_log (verb) VALUES ('Not A Verb')", psycopg.errors.CheckViolation),
    ("INSERT INTO audit_log (verb, reason) VALUES ('cancel', repeat('x', 501))", psycopg.errors.CheckViolation),
    ("UPDATE users SET email = 'BOB@example.org' WHERE email LIKE 'alice%'", psycopg.errors.UniqueViolation),
    ("UPDATE users SET email = ' alice@example.org'", psycopg.errors.CheckViolation),
    ("UPDATE users SET password_hash = 'plain'", psycopg.errors.CheckViolation),
    ("UPDATE workers SET concurrency = 0", psycopg.errors.CheckViolation),
    ("UPDATE workers SET queues = '{}'", psycopg.errors.CheckViolation),
    (
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome)"
        " SELECT id, 1, gen_random_uuid(), now(), now(), 'failed' FROM jobs",
        psycopg.errors.CheckViolation,
    ),
    (
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code)"
        " SELECT id, 1, gen_random_uuid(), now(), now(), 'completed', 'x' FROM jobs",
        psycopg.errors.CheckViolation,
    ),
    ("INSERT INTO upkeep (chore, began_at) VALUES ('Not A Chore', now())", psycopg.errors.CheckViolation),
    ("INSERT INTO claims (worker_id, job_ids) VALUES (gen_random_uuid(), '{}')", psycopg.errors.CheckViolation),
]


def test_what_must_not_happen_to_other_tables_is_refused(sql, alice, bob):
    make_worker(sql)
    make_job(sql, alice)
    sql.execute("INSERT INTO audit_log (verb, at) VALUES ('cancel', now()), ('retry', now() - interval '2 years')")

    for statement, error in REFUSED:
        with pytest.raises(error):
            sql.execute(statement)
