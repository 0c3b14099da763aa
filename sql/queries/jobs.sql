-- What users and administrators do to jobs. What workers do stands in dispatch.sql.
-- Each block is one statement; sql/README.md explains the headers.

-- name: submit_jobs
-- Record new jobs, each together with its delivery and its idempotency key, if it has one; a job for later gets its delivery when its
-- time comes (promote_jobs).
-- params:  all of the new rows, one array per column; tags as jsonb, since an array of arrays would have to be rectangular; scheduled_for
--          null or in the past means now; key and body_sha256, both null without a key.
--          max_per_minute, max_pending: what each owner may submit within 60 s, and have pending; 0 is no limit
-- returns: one row per accepted job: job_id, created_at, and its place as in queue_places (position, reason); one per job a limit refuses:
--          job_id, code, retry_after_seconds. No row: the key was used within the last 24 h (find_idempotency_key), or stands for an
--          earlier job of the same call. The jobs before one are counted once per queue and priority; those of the call come in their order
-- locks:   an advisory one for each owner who has a limit, in refused_submits(), before all others; the new rows; a second submit with the
--          same key waits here until the first one has committed or failed. Owners and keys are locked in one order each, so that two
--          calls with the same ones can't wait for each other
-- index:   idempotency_keys_pkey, deliveries_best_idx in deliveries_before(); jobs_newest_of_owner_idx,
--          jobs_scheduled_of_owner_idx and deliveries_of_owner_idx in refused_submits()
-- test:    tests/store/test_submissions.py, tests/store/test_limits.py, tests/web/test_idempotency.py, tests/acceptance/test_two_apis.py
WITH refused AS MATERIALIZED (
    SELECT refused_submits.place, refused_submits.code, refused_submits.retry_after_seconds
    FROM refused_submits(:owner_ids::uuid [], :keys::text [], :max_per_minute::integer, :max_pending::integer)
),
submitted AS (
    SELECT given.*, coalesce(given.scheduled_for, '-infinity') <= now() AS is_due, refused.code, refused.retry_after_seconds
    FROM unnest(
        :ids::uuid [], :owner_ids::uuid [], :job_types::text [], :queues::text [], :titles::text [], :descriptions::text [],
        :parameters::jsonb [], :tags::jsonb [], :priorities::integer [], :max_attempts::integer [], :scheduled_for::timestamptz [],
        :keys::text [], :bodies_sha256::bytea []
    ) WITH ORDINALITY AS given (
        id, owner_id, job_type, queue, title, description, parameters, tags, priority, max_attempts, scheduled_for,
        key, body_sha256, ordinal
    )
    LEFT JOIN refused ON given.ordinal = refused.place
),
remembered AS (
    INSERT INTO idempotency_keys (owner_id, key, body_sha256, job_id, expires_at)
    SELECT DISTINCT ON (submitted.owner_id, submitted.key)
        submitted.owner_id, submitted.key, submitted.body_sha256, submitted.id, now() + interval '24 h'
    FROM submitted
    WHERE submitted.key IS NOT NULL AND submitted.code IS NULL
    ORDER BY submitted.owner_id, submitted.key, submitted.ordinal
    ON CONFLICT (owner_id, key) DO UPDATE
    SET body_sha256 = excluded.body_sha256, job_id = excluded.job_id, created_at = now(), expires_at = excluded.expires_at
    WHERE idempotency_keys.expires_at <= now()
    RETURNING idempotency_keys.job_id
),
accepted AS (
    SELECT submitted.* FROM submitted
    WHERE submitted.code IS NULL
        AND (submitted.key IS NULL OR submitted.id IN (SELECT remembered.job_id FROM remembered))
),
delivered AS (
    SELECT delivery.job_id, delivery.delivery_id
    FROM (
        SELECT
            array_agg(accepted.id ORDER BY accepted.ordinal) AS ids,
            array_agg(accepted.job_type ORDER BY accepted.ordinal) AS job_types,
            array_agg(accepted.queue ORDER BY accepted.ordinal) AS queues,
            array_agg(accepted.priority ORDER BY accepted.ordinal) AS priorities,
            array_agg(accepted.owner_id ORDER BY accepted.ordinal) AS owners
        FROM accepted
        WHERE accepted.is_due
    ) AS due
    CROSS JOIN LATERAL deliver_jobs(due.ids, due.job_types, due.queues, due.priorities, due.owners) AS delivery
),
stored AS (
    INSERT INTO jobs (
        id, owner_id, job_type, queue, title, description, parameters, tags, priority, max_attempts,
        scheduled_for, due_at, deliver_at, delivery_id
    )
    SELECT
        accepted.id, accepted.owner_id, accepted.job_type, accepted.queue, accepted.title, accepted.description, accepted.parameters,
        ARRAY(SELECT jsonb_array_elements_text(accepted.tags)),
        accepted.priority, accepted.max_attempts, accepted.scheduled_for,
        greatest(now(), accepted.scheduled_for),
        CASE WHEN NOT accepted.is_due THEN accepted.scheduled_for END,
        delivered.delivery_id
    FROM accepted LEFT JOIN delivered ON accepted.id = delivered.job_id
),
counted AS (
    SELECT lanes.queue, lanes.priority, deliveries_before(lanes.queue, lanes.priority, 9223372036854775807) AS deliveries
    FROM (SELECT DISTINCT accepted.queue, accepted.priority FROM accepted WHERE accepted.is_due) AS lanes
),
served AS (
    SELECT DISTINCT unnest(workers.queues) AS queue FROM workers WHERE workers.lease_until > now() AND NOT workers.stopping
)
SELECT
    accepted.id AS job_id,
    now() AS created_at,
    CASE
        WHEN accepted.is_due THEN least(
            1000,
            counted.deliveries
            + row_number() OVER (PARTITION BY accepted.queue, accepted.is_due ORDER BY accepted.priority DESC, accepted.ordinal)
        )
    END AS position,
    CASE
        WHEN NOT accepted.is_due THEN 'scheduled'
        WHEN served.queue IS NULL THEN 'no_worker'
        ELSE 'queued'
    END AS reason,
    NULL AS code,
    NULL AS retry_after_seconds
FROM accepted
LEFT JOIN counted ON accepted.is_due AND accepted.queue = counted.queue AND accepted.priority = counted.priority
LEFT JOIN served ON accepted.queue = served.queue
UNION ALL
SELECT submitted.id, NULL, NULL, NULL, submitted.code, submitted.retry_after_seconds
FROM submitted
WHERE submitted.code IS NOT NULL;

-- name: get_usage
-- What a user has used of their limits, each counted up to 100,000.
-- params:  owner_id
-- returns: one row: submits_per_minute (within the last 60 s), pending_jobs, running_jobs
-- index:   jobs_newest_of_owner_idx, jobs_scheduled_of_owner_idx, deliveries_of_owner_idx, jobs_pkey; claims is small
SELECT
    recent.submits AS submits_per_minute,
    waiting.jobs_pending AS pending_jobs,
    coalesce((SELECT running.jobs_running FROM running_jobs_of(ARRAY[:owner_id::uuid]) AS running), 0) AS running_jobs
FROM submits_of_last_minute(:owner_id::uuid, 100000) AS recent
CROSS JOIN pending_jobs_of(:owner_id::uuid, 100000) AS waiting;

-- name: get_usage_of_users
-- The same of several users.
-- params:  owner_ids
-- returns: one row per user: owner_id, submits_per_minute, pending_jobs, running_jobs
-- index:   as get_usage
SELECT
    given.owner_id,
    recent.submits AS submits_per_minute,
    waiting.jobs_pending AS pending_jobs,
    coalesce(running.jobs_running, 0) AS running_jobs
FROM unnest(:owner_ids::uuid []) AS given (owner_id)
CROSS JOIN LATERAL submits_of_last_minute(given.owner_id, 100000) AS recent
CROSS JOIN LATERAL pending_jobs_of(given.owner_id, 100000) AS waiting
LEFT JOIN running_jobs_of(:owner_ids::uuid []) AS running ON given.owner_id = running.owner_id;

-- name: find_idempotency_key
-- What a key stands for.
-- params:  owner_id, key
-- returns: job_id and body_sha256, or no row if the key was not used within the last 24 h
-- index:   idempotency_keys_pkey
SELECT job_id, body_sha256
FROM idempotency_keys
WHERE owner_id = :owner_id::uuid AND key = :key::text AND expires_at > now();

-- name: remove_expired_idempotency_keys
-- Forget at most 1,000 keys that are older than a day.
-- returns: one row: how many
-- index:   idempotency_keys_expired_idx
WITH expired AS (
    SELECT idempotency_keys.owner_id, idempotency_keys.key FROM idempotency_keys
    WHERE idempotency_keys.expires_at < now()
    ORDER BY idempotency_keys.expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM idempotency_keys
    USING expired
    WHERE idempotency_keys.owner_id = expired.owner_id AND idempotency_keys.key = expired.key
    RETURNING idempotency_keys.key
)
SELECT count(*) AS removed FROM removed;

-- name: get_job
-- One job.
-- params:  job_id; owner_id or null for anybody's
-- returns: the job, or no row if there is none or it is somebody else's
-- index:   jobs_pkey
SELECT jobs.* FROM jobs
WHERE jobs.id = :job_id::uuid
    AND (:owner_id::uuid IS NULL OR jobs.owner_id = :owner_id::uuid);

-- name: count_jobs_of_owner
-- A user's jobs by status, each up to a limit: in indexes alone, but for those that run, which are looked up.
-- params:  owner_id; at_most; at_most_others: how many that have not completed are counted to find out how many have
-- returns: one row: total, pending, running, failed, cancelled, completed, none above at_most; completed is null where too many others are
--          in the way
-- index:   jobs_newest_of_owner_idx, jobs_unsuccessful_of_owner_idx, deliveries_of_owner_idx, jobs_scheduled_of_owner_idx, jobs_pkey;
--          claims is small
-- test:    tests/store/test_listing.py, tests/contract/test_plans.py
WITH others AS MATERIALIZED (
    SELECT
        (SELECT waiting.jobs_pending FROM pending_jobs_of(:owner_id::uuid, :at_most_others::integer) AS waiting) AS pending,
        coalesce((SELECT running.jobs_running FROM running_jobs_of(ARRAY[:owner_id::uuid]) AS running), 0) AS running,
        (
            SELECT count(*) FROM (
                SELECT 1 FROM jobs
                WHERE jobs.owner_id = :owner_id::uuid AND jobs.unsuccessful_status = 'failed'
                LIMIT :at_most_others::integer
            ) AS found
        ) AS failed,
        (
            SELECT count(*) FROM (
                SELECT 1 FROM jobs
                WHERE jobs.owner_id = :owner_id::uuid AND jobs.unsuccessful_status = 'cancelled'
                LIMIT :at_most_others::integer
            ) AS found
        ) AS cancelled
),
counted AS (
    SELECT
        others.*,
        (
            SELECT count(*) FROM (
                SELECT 1 FROM jobs
                WHERE jobs.owner_id = :owner_id::uuid
                LIMIT :at_most::integer + (SELECT pending + running + failed + cancelled FROM others)
            ) AS found
        ) AS total
    FROM others
)
SELECT
    least(total, :at_most::integer) AS total,
    least(pending, :at_most::integer) AS pending,
    least(running, :at_most::integer) AS running,
    least(failed, :at_most::integer) AS failed,
    least(cancelled, :at_most::integer) AS cancelled,
    CASE
        WHEN greatest(pending, failed, cancelled) < :at_most_others::integer
            THEN least(:at_most::integer, greatest(0, total - pending - running - failed - cancelled))
    END AS completed
FROM counted;

-- name: list_attempts
-- All attempts of one job, the running one too, in order.
-- params:  job_id
-- returns: at most one row per attempt; none for an unknown job
-- index:   job_attempts_pkey, jobs_pkey
SELECT number, worker_id, started_at, ended_at, outcome, error_code, error_message, traceback
FROM job_attempts
WHERE job_id = :job_id::uuid
UNION ALL
SELECT attempt, worker_id, started_at, NULL, NULL, NULL, NULL, NULL
FROM jobs
WHERE id = :job_id::uuid AND status = 'running'
ORDER BY number
LIMIT 10000;

-- name: queue_places
-- Where pending jobs stand: their place among the due ones of their queue, and why they don't run yet.
-- params:  job_ids
-- returns: one row per pending job of those: job_id, position (null unless due and not held; counted up to 1,000),
--          reason
-- index:   jobs_pkey, procrastinate_jobs_pkey, and deliveries_best_idx in deliveries_before()
-- test:    tests/store/test_jobs.py, tests/contract/test_plans.py
SELECT
    jobs.id AS job_id,
    CASE
        WHEN jobs.delivery_id IS NOT NULL AND held.id IS NULL THEN deliveries_before(jobs.queue, jobs.priority, jobs.delivery_id) + 1
    END AS position,
    CASE
        WHEN jobs.deliver_at > now() AND jobs.failed_attempts > 0 THEN 'retry_backoff'
        WHEN jobs.deliver_at > now() AND jobs.due_at > now() THEN 'scheduled'
        WHEN NOT EXISTS (
            SELECT FROM workers WHERE workers.lease_until > now() AND NOT workers.stopping AND jobs.queue = ANY(workers.queues)
        ) THEN 'no_worker'
        WHEN held.id IS NOT NULL THEN 'running_limit'
        ELSE 'queued'
    END AS reason
FROM jobs
LEFT JOIN procrastinate_jobs AS held ON jobs.delivery_id = held.id AND coalesce(held.held, false)
WHERE jobs.id = ANY(:job_ids::uuid []) AND jobs.status = 'pending';

-- name: cancel_job
-- A pending job is cancelled at once and its delivery withdrawn; a running one is asked to stop.
-- params:  job_id; owner_id or null for anybody's; actor_id, reason, request_id for the audit log
-- returns: the job, or no row if nothing changed: unknown, not the owner's, finished, or asked before
-- locks:   the job row. The delivery is only taken if nobody holds it: the claim locks delivery first and job second, and
--          waiting for it here would be a deadlock. The delivery it leaves behind does nothing.
--          After waiting for a claim, `target` is the new row while the UPDATE first meets the old one, and PostgreSQL holds
--          that first draft against the CHECKs too: so what it sets follows from `jobs` alone
-- index:   jobs_pkey
-- test:    tests/store/test_races.py
WITH target AS (
    SELECT jobs.id, jobs.status, jobs.delivery_id, jobs.job_type
    FROM jobs
    WHERE jobs.id = :job_id::uuid
        AND (:owner_id::uuid IS NULL OR jobs.owner_id = :owner_id::uuid)
        AND (jobs.status = 'pending' OR (jobs.status = 'running' AND jobs.cancel_requested_at IS NULL))
    FOR UPDATE
),
withdrawn AS (
    DELETE FROM procrastinate_jobs
    WHERE procrastinate_jobs.id IN (
        SELECT delivery.id FROM procrastinate_jobs AS delivery
        WHERE delivery.id = (SELECT target.delivery_id FROM target)
        FOR UPDATE SKIP LOCKED
    )
),
changed AS (
    UPDATE jobs
    SET
        status = CASE jobs.status WHEN 'pending' THEN 'cancelled' ELSE jobs.status END,
        completed_at = CASE jobs.status WHEN 'pending' THEN now() END,
        cancel_requested_at = now(),
        intervened_by = CASE WHEN jobs.owner_id = :actor_id::uuid THEN 'owner'::intervener ELSE 'administrator' END,
        intervention_reason = :reason::text,
        deliver_at = NULL,
        delivery_id = NULL,
        updated_at = now(),
        version = jobs.version + 1
    FROM target
    WHERE jobs.id = target.id
    RETURNING jobs.*
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details)
    SELECT :actor_id::uuid, 'cancel', target.id, :reason::text, :request_id::text, jsonb_build_object('from', target.status)
    FROM target
),
counted AS (
    INSERT INTO job_stat_changes (at, job_type, status, jobs)
    SELECT now(), target.job_type, 'cancelled', 1
    FROM target
    WHERE target.status = 'pending'
)
SELECT
    changed.*,
    CASE changed.status WHEN 'running' THEN pg_notify('jobhub_stop', changed.worker_id::text) END AS worker_notified
FROM changed;

-- name: retry_job
-- Put a failed or cancelled job back in the queue, at once, with a new count of attempts.
-- params:  job_id; owner_id or null for anybody's; actor_id, reason, request_id for the audit log
-- returns: the job, or no row if it is unknown, not the owner's, or neither failed nor cancelled
-- locks:   the job row
-- index:   jobs_pkey
WITH target AS (
    SELECT
        jobs.id, jobs.status, jobs.job_type, jobs.queue, jobs.priority, jobs.owner_id, jobs.completed_at, jobs.error_code
    FROM jobs
    WHERE jobs.id = :job_id::uuid
        AND (:owner_id::uuid IS NULL OR jobs.owner_id = :owner_id::uuid)
        AND jobs.status IN ('failed', 'cancelled')
    FOR UPDATE
),
delivery AS (
    SELECT target.id AS job_id, deliver_job(target.id, target.job_type, target.queue, target.priority, target.owner_id) AS id
    FROM target
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details)
    SELECT :actor_id::uuid, 'retry', target.id, :reason::text, :request_id::text, jsonb_build_object('from', target.status)
    FROM target
),
uncounted AS (
    INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs)
    SELECT target.completed_at, target.job_type, target.status, CASE target.status WHEN 'failed' THEN target.error_code END, -1
    FROM target
)
UPDATE jobs
SET
    status = 'pending',
    progress_percentage = 0,
    progress_message = NULL,
    result = NULL,
    error_message = NULL,
    error_code = NULL,
    failed_attempts = 0,
    lost_attempts = 0,
    scheduled_for = NULL,
    due_at = now(),
    delivery_id = delivery.id,
    started_at = NULL,
    completed_at = NULL,
    cancel_requested_at = NULL,
    intervened_by = NULL,
    intervention_reason = NULL,
    updated_at = now(),
    version = jobs.version + 1
FROM delivery
WHERE jobs.id = delivery.job_id
RETURNING jobs.*;

-- name: force_complete_job
-- Complete a job by hand. A running attempt is fenced off here and its worker told to stop it.
-- params:  job_id, result; actor_id, reason, request_id for the audit log
-- returns: the job, or no row if it is unknown or completed already
-- locks:   the job row; the delivery only if nobody holds it (see cancel_job)
-- index:   jobs_pkey
WITH target AS (
    SELECT
        jobs.id, jobs.status, jobs.job_type, jobs.delivery_id, jobs.attempt, jobs.worker_id, jobs.due_at, jobs.started_at,
        jobs.completed_at, jobs.error_code
    FROM jobs
    WHERE jobs.id = :job_id::uuid AND jobs.status <> 'completed'
    FOR UPDATE
),
withdrawn AS (
    DELETE FROM procrastinate_jobs
    WHERE procrastinate_jobs.id IN (
        SELECT delivery.id FROM procrastinate_jobs AS delivery
        WHERE delivery.id = (SELECT target.delivery_id FROM target)
        FOR UPDATE SKIP LOCKED
    )
),
superseded AS (
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome)
    SELECT target.id, target.attempt, target.worker_id, target.due_at, target.started_at, 'superseded'
    FROM target
    WHERE target.status = 'running'
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details)
    SELECT :actor_id::uuid, 'force_complete', target.id, :reason::text, :request_id::text, jsonb_build_object('from', target.status)
    FROM target
),
uncounted AS (
    INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs)
    SELECT target.completed_at, target.job_type, target.status, CASE target.status WHEN 'failed' THEN target.error_code END, -1
    FROM target
    WHERE target.status IN ('failed', 'cancelled')
),
counted AS (
    INSERT INTO job_stat_changes (at, job_type, status, jobs, outcome, attempts)
    SELECT
        now(), target.job_type, 'completed', 1,
        CASE target.status WHEN 'running' THEN 'superseded'::attempt_outcome END,
        CASE target.status WHEN 'running' THEN 1 ELSE 0 END
    FROM target
),
changed AS (
    UPDATE jobs
    SET
        status = 'completed',
        progress_percentage = 100,
        result = :result::jsonb,
        error_message = NULL,
        error_code = NULL,
        intervened_by = CASE WHEN jobs.owner_id = :actor_id::uuid THEN 'owner'::intervener ELSE 'administrator' END,
        intervention_reason = :reason::text,
        deliver_at = NULL,
        delivery_id = NULL,
        completed_at = now(),
        updated_at = now(),
        version = jobs.version + 1
    FROM target
    WHERE jobs.id = target.id
    RETURNING jobs.*
)
SELECT
    changed.*,
    CASE target.status WHEN 'running' THEN pg_notify('jobhub_stop', target.worker_id::text) END AS worker_notified
FROM changed INNER JOIN target ON changed.id = target.id;

-- name: cancel_pending_jobs_of_user
-- Cancel at most 1,000 pending jobs of a disabled user. Call again until it returns 0.
-- params:  owner_id; actor_id, reason, request_id for the audit log
-- returns: one row: how many were cancelled
-- locks:   those job rows, in the order of their ids as the claim does; the deliveries only if nobody holds them (see cancel_job)
-- index:   jobs_newest_of_owner_idx
-- limit:   30 s
WITH target AS (
    SELECT jobs.id, jobs.delivery_id FROM jobs
    WHERE jobs.owner_id = :owner_id::uuid AND jobs.status = 'pending'
    ORDER BY jobs.id
    LIMIT 1000
    FOR UPDATE
),
withdrawn AS (
    DELETE FROM procrastinate_jobs
    WHERE procrastinate_jobs.id = ANY(ARRAY(
        SELECT delivery.id FROM procrastinate_jobs AS delivery
        WHERE delivery.id = ANY(ARRAY(SELECT target.delivery_id FROM target))
        FOR UPDATE SKIP LOCKED
    ))
),
changed AS (
    UPDATE jobs
    SET
        status = 'cancelled',
        completed_at = now(),
        cancel_requested_at = now(),
        intervened_by = CASE WHEN jobs.owner_id = :actor_id::uuid THEN 'owner'::intervener ELSE 'administrator' END,
        intervention_reason = :reason::text,
        deliver_at = NULL,
        delivery_id = NULL,
        updated_at = now(),
        version = jobs.version + 1
    WHERE jobs.id = ANY(ARRAY(SELECT target.id FROM target))
    RETURNING jobs.id, jobs.job_type
),
counted AS (
    INSERT INTO job_stat_changes (at, job_type, status, jobs)
    SELECT now(), changed.job_type, 'cancelled', count(*)
    FROM changed
    GROUP BY changed.job_type
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details)
    SELECT :actor_id::uuid, 'cancel', changed.id, :reason::text, :request_id::text, '{"from": "pending"}'
    FROM changed
)
SELECT count(*) AS cancelled FROM changed;

-- name: pin_job
-- Keep a job from every clean-up.
-- params:  job_id; actor_id, reason, request_id for the audit log
-- returns: the job, or no row if it is unknown or pinned already
-- locks:   the job row
-- index:   jobs_pkey
-- test:    tests/web/test_pins.py, tests/store/test_retention.py
WITH target AS (
    SELECT jobs.id FROM jobs WHERE jobs.id = :job_id::uuid AND jobs.pinned_at IS NULL FOR UPDATE
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id)
    SELECT :actor_id::uuid, 'pin', target.id, :reason::text, :request_id::text FROM target
)
UPDATE jobs
SET pinned_at = now(), updated_at = now(), version = jobs.version + 1
FROM target
WHERE jobs.id = target.id
RETURNING jobs.*;

-- name: unpin_job
-- Let clean-ups have a job again.
-- params:  job_id; actor_id, reason, request_id for the audit log
-- returns: the job, or no row if it is unknown or not pinned
-- locks:   the job row
-- index:   jobs_pkey
-- test:    tests/web/test_pins.py
WITH target AS (
    SELECT jobs.id, jobs.pinned_at FROM jobs WHERE jobs.id = :job_id::uuid AND jobs.pinned_at IS NOT NULL FOR UPDATE
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, job_id, reason, request_id, details)
    SELECT :actor_id::uuid, 'unpin', target.id, :reason::text, :request_id::text, jsonb_build_object('pinned_at', target.pinned_at)
    FROM target
)
UPDATE jobs
SET pinned_at = NULL, updated_at = now(), version = jobs.version + 1
FROM target
WHERE jobs.id = target.id
RETURNING jobs.*;

-- name: database_now
-- The clock every rule about jobs goes by.
-- returns: one row
SELECT now() AS now;
