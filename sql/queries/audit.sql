-- Reading the audit log.

-- name: list_audit_log
-- Entries of the audit log, newest first.
-- params:  before_id (null: from the newest), limit
-- returns: one row per entry, with the names of whom it is about
-- index:   audit_log_pkey, users_pkey, jobs_pkey
-- test:    tests/store/test_audit.py, tests/contract/test_plans.py
-- Names are looked up entry by entry: joined, jobs might be read as a whole for them.
SELECT
    audit_log.id, audit_log.at, audit_log.verb,
    (SELECT actor.email FROM users AS actor WHERE actor.id = audit_log.actor_id) AS actor_email,
    audit_log.job_id,
    (SELECT jobs.title FROM jobs WHERE jobs.id = audit_log.job_id) AS job_title,
    (SELECT subject.email FROM users AS subject WHERE subject.id = audit_log.user_id) AS user_email,
    audit_log.reason, audit_log.request_id, audit_log.details
FROM audit_log
WHERE audit_log.id < coalesce(:before_id::bigint, 9223372036854775807)
ORDER BY audit_log.id DESC
LIMIT :limit::integer;
