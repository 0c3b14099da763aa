-- What removes old jobs, attempts and entries of the audit log, a batch at a time. Each batch is on record in its own transaction.
-- Each walks along an index from where the last one ended, so that what is kept is read once a run, however much it is.

-- name: clean_up_jobs
-- Look at the next 1,000 jobs, oldest first, and delete those that are old by a rule, with their attempts. A pinned job is never among
-- them, and a failed one only where jobhub itself does it, by a policy that names it.
-- params:  after_at, after_id: the last job looked at before, (created_at, id);
--          rule_types, rule_statuses, cutoffs: arrays of one length, one rule per status and job type. A null type is for all that have
--          no rule of their own; a null cutoff keeps. What finished at the cutoff or before is old;
--          actor_id (null: jobhub itself), request_id, details for the audit log
-- returns: one row: deleted, an object of counts by job type, null for none; passed_over, how many old ones somebody else held; last_at
--          and last_id, the last job looked at, null if there are no more to look at
-- locks:   the job rows, SKIP LOCKED. Whoever writes an attempt of a job holds its row
-- index:   jobs_newest_idx: what finished before the cutoff was submitted before it; jobs_pkey, job_attempts_pkey
-- limit:   30 s
-- test:    tests/store/test_retention.py, tests/contract/test_plans.py
WITH rule AS MATERIALIZED (
    SELECT given.job_type, given.status, given.cutoff
    FROM unnest(:rule_types::text [], :rule_statuses::job_status [], :cutoffs::timestamptz []) AS given (job_type, status, cutoff)
),
walked AS MATERIALIZED (
    SELECT jobs.id, jobs.created_at, jobs.job_type, jobs.status, jobs.completed_at, jobs.pinned_at
    FROM jobs
    WHERE (jobs.created_at, jobs.id) > (:after_at::timestamptz, :after_id::uuid)
        AND jobs.created_at <= (SELECT max(rule.cutoff) FROM rule)
    ORDER BY jobs.created_at, jobs.id
    LIMIT 1000
),
old AS (
    SELECT walked.id
    FROM walked
    LEFT JOIN rule AS own ON walked.job_type = own.job_type AND walked.status = own.status
    LEFT JOIN rule AS common ON walked.status = common.status AND common.job_type IS NULL
    WHERE walked.completed_at <= CASE WHEN own.status IS NULL THEN common.cutoff ELSE own.cutoff END
        AND walked.pinned_at IS NULL
        AND (walked.status <> 'failed' OR :actor_id::uuid IS NULL)
),
-- What changed since the snapshot is looked at again: a job that was retried is not finished or finished later, and may be pinned by now.
target AS (
    SELECT jobs.id, jobs.job_type
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT old.id FROM old))
        AND jobs.completed_at <= (SELECT max(rule.cutoff) FROM rule)
        AND jobs.pinned_at IS NULL
    ORDER BY jobs.id
    FOR UPDATE SKIP LOCKED
),
attempts_deleted AS (
    DELETE FROM job_attempts
    WHERE job_attempts.job_id = ANY(ARRAY(SELECT target.id FROM target))
    RETURNING job_attempts.job_id, job_attempts.outcome, job_attempts.ended_at
),
jobs_deleted AS (
    DELETE FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT target.id FROM target))
    RETURNING jobs.job_type, jobs.status, jobs.error_code, jobs.completed_at
),
jobs_counted AS (
    INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs_removed)
    SELECT date_trunc('minute', gone.completed_at) AS at, gone.job_type, gone.status, gone.error_code, count(*)
    FROM (
        SELECT
            jobs_deleted.completed_at, jobs_deleted.job_type, jobs_deleted.status,
            CASE jobs_deleted.status WHEN 'failed' THEN jobs_deleted.error_code END AS error_code
        FROM jobs_deleted
    ) AS gone
    GROUP BY date_trunc('minute', gone.completed_at), gone.job_type, gone.status, gone.error_code
),
attempts_counted AS (
    INSERT INTO job_stat_changes (at, job_type, outcome, attempts_removed)
    SELECT date_trunc('minute', attempts_deleted.ended_at) AS at, target.job_type, attempts_deleted.outcome, count(*)
    FROM attempts_deleted INNER JOIN target ON attempts_deleted.job_id = target.id
    GROUP BY date_trunc('minute', attempts_deleted.ended_at), target.job_type, attempts_deleted.outcome
),
by_type AS (
    SELECT jsonb_object_agg(counted.job_type, counted.jobs) AS deleted
    FROM (SELECT jobs_deleted.job_type, count(*) AS jobs FROM jobs_deleted GROUP BY jobs_deleted.job_type) AS counted
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, request_id, details)
    SELECT :actor_id::uuid, 'clean_up', :request_id::text, :details::jsonb || jsonb_build_object('deleted', by_type.deleted)
    FROM by_type
    WHERE by_type.deleted IS NOT NULL
)
SELECT
    by_type.deleted,
    (SELECT count(*) FROM old) - (SELECT count(*) FROM target) AS passed_over,
    last_one.created_at AS last_at,
    last_one.id AS last_id
FROM by_type
LEFT JOIN (SELECT walked.created_at, walked.id FROM walked ORDER BY walked.created_at, walked.id OFFSET 999 LIMIT 1) AS last_one ON true;

-- name: count_jobs_to_clean_up
-- What clean_up_jobs would delete of the next 50,000 jobs.
-- params:  as clean_up_jobs, but for those of the audit log: a person's clean-up is meant, so failed jobs don't count
-- returns: one row: deleted, last_at and last_id as clean_up_jobs
-- index:   jobs_newest_idx
-- limit:   30 s
-- test:    tests/store/test_retention.py, tests/contract/test_plans.py
WITH rule AS MATERIALIZED (
    SELECT given.job_type, given.status, given.cutoff
    FROM unnest(:rule_types::text [], :rule_statuses::job_status [], :cutoffs::timestamptz []) AS given (job_type, status, cutoff)
),
walked AS MATERIALIZED (
    SELECT jobs.id, jobs.created_at, jobs.job_type, jobs.status, jobs.completed_at, jobs.pinned_at
    FROM jobs
    WHERE (jobs.created_at, jobs.id) > (:after_at::timestamptz, :after_id::uuid)
        AND jobs.created_at <= (SELECT max(rule.cutoff) FROM rule)
    ORDER BY jobs.created_at, jobs.id
    LIMIT 50000
),
old AS (
    SELECT walked.job_type, count(*) AS jobs
    FROM walked
    LEFT JOIN rule AS own ON walked.job_type = own.job_type AND walked.status = own.status
    LEFT JOIN rule AS common ON walked.status = common.status AND common.job_type IS NULL
    WHERE walked.completed_at <= CASE WHEN own.status IS NULL THEN common.cutoff ELSE own.cutoff END
        AND walked.pinned_at IS NULL
        AND walked.status <> 'failed'
    GROUP BY walked.job_type
)
SELECT by_type.deleted, last_one.created_at AS last_at, last_one.id AS last_id
FROM (SELECT jsonb_object_agg(old.job_type, old.jobs) AS deleted FROM old) AS by_type
LEFT JOIN (SELECT walked.created_at, walked.id FROM walked ORDER BY walked.created_at, walked.id OFFSET 49999 LIMIT 1) AS last_one ON true;

-- name: remove_old_attempts
-- Look at the next 1,000 attempts, oldest first, and delete those that ended before the cutoff and whose job has completed or was
-- cancelled. Attempts of jobs that failed, aren't finished or are pinned stay.
-- params:  cutoff; after_at, after_id, after_number: the last attempt looked at before, (ended_at, job_id, number); details for the audit log
-- returns: one row: removed; last_at, last_id and last_number, null if there are no more to look at
-- index:   job_attempts_ended_idx, jobs_pkey, job_attempts_pkey
-- limit:   30 s
-- test:    tests/store/test_retention.py, tests/contract/test_plans.py
WITH walked AS MATERIALIZED (
    SELECT job_attempts.job_id, job_attempts.number, job_attempts.ended_at
    FROM job_attempts
    WHERE job_attempts.ended_at >= :after_at::timestamptz
        AND job_attempts.ended_at <= :cutoff::timestamptz
        AND (job_attempts.ended_at, job_attempts.job_id, job_attempts.number)
        > (:after_at::timestamptz, :after_id::uuid, :after_number::integer)
    ORDER BY job_attempts.ended_at, job_attempts.job_id, job_attempts.number
    LIMIT 1000
),
settled AS (
    SELECT jobs.id, jobs.job_type
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT walked.job_id FROM walked))
        AND jobs.status IN ('completed', 'cancelled')
        AND jobs.pinned_at IS NULL
),
deleted AS (
    DELETE FROM job_attempts
    WHERE job_attempts.job_id = ANY(ARRAY(SELECT settled.id FROM settled))
        AND (job_attempts.job_id, job_attempts.number) IN (SELECT walked.job_id, walked.number FROM walked)
    RETURNING job_attempts.job_id, job_attempts.outcome, job_attempts.ended_at
),
counted AS (
    INSERT INTO job_stat_changes (at, job_type, outcome, attempts_removed)
    SELECT date_trunc('minute', deleted.ended_at) AS at, settled.job_type, deleted.outcome, count(*)
    FROM deleted INNER JOIN settled ON deleted.job_id = settled.id
    GROUP BY date_trunc('minute', deleted.ended_at), settled.job_type, deleted.outcome
),
total AS (
    SELECT count(*) AS removed FROM deleted
),
audited AS (
    INSERT INTO audit_log (verb, details)
    SELECT 'clean_up', :details::jsonb || jsonb_build_object('attempts', total.removed) FROM total WHERE total.removed > 0
)
SELECT total.removed, last_one.ended_at AS last_at, last_one.job_id AS last_id, last_one.number AS last_number
FROM total
LEFT JOIN (
    SELECT walked.ended_at, walked.job_id, walked.number FROM walked ORDER BY walked.ended_at, walked.job_id, walked.number OFFSET 999 LIMIT 1
) AS last_one ON true;

-- name: remove_old_audit_entries
-- Delete those of the 1,000 oldest entries of the audit log that are from the cutoff or before, and at least 30 days old.
-- params:  cutoff; details for the audit log
-- returns: one row: removed
-- index:   audit_log_pkey
-- limit:   30 s
-- test:    tests/store/test_retention.py
WITH total AS MATERIALIZED (
    SELECT remove_old_audit_entries(:cutoff::timestamptz) AS removed
),
audited AS (
    INSERT INTO audit_log (verb, details)
    SELECT 'clean_up', :details::jsonb || jsonb_build_object('audit_entries', total.removed) FROM total WHERE total.removed > 0
)
SELECT total.removed FROM total;

-- name: try_clean_up_lock
-- Take the lock that lets one clean-up run at a time. It is the session's, and goes with it.
-- returns: one row: whether it was taken
SELECT pg_try_advisory_lock(7203641858) AS locked;

-- name: clean_up_unlock
-- Give the clean-up lock back.
-- returns: one row: whether this session had it
SELECT pg_advisory_unlock(7203641858) AS unlocked;

-- name: commit_without_waiting
-- From now on this session's commits do not wait for the disk: a crash may undo the last of them, in their order. Where commits wait for a
-- standby these do so as well, or a clean-up would write faster than it can follow, and all others would wait for that.
-- returns: one row, none where there is a standby
SELECT set_config('synchronous_commit', 'off', false) WHERE current_setting('synchronous_standby_names') = '';

-- name: commit_with_waiting
-- This session's commits wait again, with the one of this statement, which writes something, for all before.
-- returns: one row
-- limit:   30 s
-- test:    tests/services/test_clean_up.py
SELECT
    set_config('synchronous_commit', (SELECT pg_settings.reset_val FROM pg_settings WHERE pg_settings.name = 'synchronous_commit'), false),
    pg_logical_emit_message(true, 'jobhub', 'cleaned up');

-- name: is_chore_due
-- Whether nobody has begun something for so long.
-- params:  chore; every_seconds
-- returns: one row
-- index:   upkeep_pkey
SELECT NOT EXISTS (
    SELECT FROM upkeep
    WHERE upkeep.chore = :chore::text AND upkeep.began_at > now() - make_interval(secs => :every_seconds::float8)
) AS is_due;

-- name: begin_chore
-- Whether it is time for something that one of all workers does now and then, and note that it begins.
-- params:  chore; every_seconds
-- returns: one row if it is time, else none
-- locks:   the chore's row: of several workers at once one gets the row
-- index:   upkeep_pkey
-- test:    tests/store/test_retention.py
INSERT INTO upkeep (chore, began_at)
VALUES (:chore::text, now())
ON CONFLICT (chore) DO UPDATE SET began_at = now()
WHERE upkeep.began_at <= now() - make_interval(secs => :every_seconds::float8)
RETURNING upkeep.chore;
