-- Reading the audit log.

-- name: list_audit_log
-- Entries of the audit log, newest first.
-- params:  before_id (null: from the newest), limit
-- returns: one row per entry, with the names of whom it is about
-- index:   audit_log_pkey, users_pkey, jobs_pkey
-- test:    tests/store/test_audit.py
SELECT
    audit_log.id, audit_log.at, audit_log.verb, actor.email AS actor_email, audit_log.job_id, jobs.title AS job_title,
    subject.email AS user_email, audit_log.reason, audit_log.request_id, audit_log.details
FROM audit_log
LEFT JOIN users AS actor ON audit_log.actor_id = actor.id
LEFT JOIN users AS subject ON audit_log.user_id = subject.id
LEFT JOIN jobs ON audit_log.job_id = jobs.id
WHERE :before_id::bigint IS NULL OR audit_log.id < :before_id::bigint
ORDER BY audit_log.id DESC
LIMIT :limit::integer;
