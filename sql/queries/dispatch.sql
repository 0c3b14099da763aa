-- What workers do to jobs: promote, claim and start, report progress, finish, rescue.
-- Every change is fenced by (job id, attempt): no row back means somebody else owns the job now.

-- name: promote_jobs
-- Give at most 1,000 jobs whose time has come their delivery. Any number of workers may do it at once.
-- returns: one row: how many were promoted
-- locks:   those job rows, SKIP LOCKED
-- index:   jobs_promote_idx
WITH due AS (
    SELECT jobs.id, jobs.queue, jobs.priority
    FROM jobs
    WHERE jobs.deliver_at <= now()
    ORDER BY jobs.deliver_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
delivery AS (
    SELECT due.id AS job_id, deliver_job(due.id, due.queue, due.priority) AS id FROM due
),
promoted AS (
    UPDATE jobs
    SET delivery_id = delivery.id, deliver_at = NULL
    FROM delivery
    WHERE jobs.id = delivery.job_id AND jobs.id = ANY(ARRAY(SELECT due.id FROM due))
    RETURNING jobs.id
)
SELECT count(*) AS promoted FROM promoted;

-- name: claim_jobs
-- Take up to `slots` deliveries and start their jobs. The deliveries have served and go.
-- A delivery does nothing if its job is not pending any more or has a newer delivery. A job whose type this worker doesn't know is
-- put back for 30 s, since a newer worker may be about to come up; after an hour it is started all the same, and fails.
-- params:  worker_id, queues, known_types, slots
-- returns: one row per delivery taken, best first, with what it takes to run the job; id is null where nothing was started.
--          No row at all: nothing is due, or this worker's lease is over
-- locks:   the deliveries (SKIP LOCKED), then their jobs
-- index:   procrastinate_jobs_priority_idx_v1, jobs_pkey. The ANY(ARRAY(…)) keeps the planner from scanning jobs: it can't see
--          the LIMIT through a parameter
-- test:    tests/store/test_dispatch.py, tests/contract/test_plans.py
WITH due AS (
    SELECT delivery.id, (delivery.args ->> 'job_id')::uuid AS job_id, delivery.priority
    FROM procrastinate_jobs AS delivery
    WHERE delivery.status = 'todo'
        AND delivery.queue_name = ANY(:queues::text [])
        AND EXISTS (SELECT FROM workers WHERE workers.id = :worker_id::uuid AND workers.lease_until > now())
    ORDER BY delivery.priority DESC, delivery.id
    LIMIT :slots::integer
    FOR UPDATE OF delivery SKIP LOCKED
),
taken AS (
    DELETE FROM procrastinate_jobs WHERE procrastinate_jobs.id = ANY(ARRAY(SELECT due.id FROM due))
),
started AS (
    UPDATE jobs
    SET
        status = 'running',
        attempt = jobs.attempt + 1,
        progress_percentage = 0,
        progress_message = NULL,
        started_at = now(),
        worker_id = :worker_id::uuid,
        delivery_id = NULL,
        updated_at = now(),
        version = jobs.version + 1
    WHERE jobs.id = ANY(ARRAY(SELECT due.job_id FROM due))
        AND jobs.delivery_id = ANY(ARRAY(SELECT due.id FROM due))
        AND jobs.status = 'pending'
        AND (jobs.job_type = ANY(:known_types::text []) OR jobs.due_at < now() - interval '1 hour')
    RETURNING
        jobs.id, jobs.owner_id, jobs.job_type, jobs.attempt, jobs.failed_attempts, jobs.lost_attempts, jobs.max_attempts,
        jobs.parameters
),
put_back AS (
    UPDATE jobs
    SET deliver_at = now() + interval '30 s', delivery_id = NULL
    WHERE jobs.id = ANY(ARRAY(SELECT due.job_id FROM due))
        AND jobs.delivery_id = ANY(ARRAY(SELECT due.id FROM due))
        AND jobs.status = 'pending'
        AND NOT (jobs.job_type = ANY(:known_types::text []) OR jobs.due_at < now() - interval '1 hour')
)
SELECT
    due.id AS delivery_id, started.id, started.owner_id, started.job_type, started.attempt, started.failed_attempts,
    started.lost_attempts, started.max_attempts, started.parameters
FROM due
LEFT JOIN started ON due.job_id = started.id
ORDER BY due.priority DESC, due.id
LIMIT :slots::integer;

-- name: report_progress
-- Record how far a running attempt is. It never goes backwards.
-- params:  job_id, attempt, percentage, message (null: keep the last one)
-- returns: the job's id, or no row if the attempt is over or the report is behind an earlier one
-- locks:   the job row
-- index:   jobs_pkey
UPDATE jobs
SET
    progress_percentage = :percentage::smallint,
    progress_message = coalesce(:message::text, jobs.progress_message),
    updated_at = now(),
    version = jobs.version + 1
WHERE jobs.id = :job_id::uuid
    AND jobs.status = 'running'
    AND jobs.attempt = :attempt::integer
    AND jobs.progress_percentage <= :percentage::smallint
    AND (jobs.progress_percentage, jobs.progress_message) IS DISTINCT FROM
    (:percentage::smallint, coalesce(:message::text, jobs.progress_message))
RETURNING jobs.id;

-- name: finish_jobs
-- Record how attempts ended, all in one statement: complete, fail, cancel and release differ only in their values.
-- A job that would go back to pending but was asked to stop is cancelled instead. An attempt that was lost with the process it had to
-- itself (worker_lost, from worker.quarantine) is counted as rescue_jobs counts those lost with their worker.
-- params:  arrays of one length: job_ids, attempts, outcomes, statuses, results, error_codes, error_messages, tracebacks,
--          delays_seconds (for those that go back to pending; 0: at once)
-- returns: job_id, attempt, status of each accepted outcome. An outcome without a row was fenced off: the job is not running that attempt
-- locks:   the job rows, in the order of their ids, so that two of these can't deadlock
-- index:   jobs_pkey
WITH outcome AS (
    SELECT given.* FROM unnest(
        :job_ids::uuid [], :attempts::integer [], :outcomes::attempt_outcome [], :statuses::job_status [], :results::jsonb [],
        :error_codes::text [], :error_messages::text [], :tracebacks::text [], :delays_seconds::float8 []
    ) AS given (job_id, attempt, outcome, status, result, error_code, error_message, traceback, delay_seconds)
),
target AS (
    SELECT
        jobs.id, jobs.attempt, jobs.queue, jobs.priority, jobs.worker_id, jobs.due_at, jobs.started_at,
        CASE WHEN outcome.status = 'pending' AND jobs.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE outcome.status END AS status,
        outcome.outcome, outcome.result, outcome.error_code, outcome.error_message, outcome.traceback, outcome.delay_seconds
    FROM jobs
    INNER JOIN outcome ON jobs.id = outcome.job_id
    WHERE jobs.id = ANY(:job_ids::uuid [])
        AND jobs.status = 'running'
        AND jobs.attempt = outcome.attempt
    ORDER BY jobs.id
    FOR UPDATE OF jobs
),
delivery AS (
    SELECT target.id AS job_id, deliver_job(target.id, target.queue, target.priority) AS id
    FROM target
    WHERE target.status = 'pending' AND target.delay_seconds <= 0
),
recorded AS (
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)
    SELECT
        target.id, target.attempt, target.worker_id, target.due_at, target.started_at,
        target.outcome, target.error_code, target.error_message, target.traceback
    FROM target
)
UPDATE jobs
SET
    status = target.status,
    progress_percentage = CASE target.status WHEN 'completed' THEN 100 ELSE jobs.progress_percentage END,
    result = CASE target.status WHEN 'completed' THEN target.result END,
    error_code = CASE WHEN target.outcome <> 'worker_lost' OR target.status = 'failed' THEN target.error_code END,
    error_message = CASE WHEN target.outcome <> 'worker_lost' OR target.status = 'failed' THEN target.error_message END,
    failed_attempts = jobs.failed_attempts + (target.outcome = 'failed')::integer,
    lost_attempts = jobs.lost_attempts + (target.outcome = 'worker_lost')::integer,
    scheduled_for = CASE
        WHEN target.status = 'pending' AND target.outcome = 'failed' THEN now() + make_interval(secs => target.delay_seconds)
        ELSE jobs.scheduled_for
    END,
    due_at = CASE target.status WHEN 'pending' THEN now() + make_interval(secs => target.delay_seconds) ELSE jobs.due_at END,
    deliver_at = CASE
        WHEN target.status = 'pending' AND target.delay_seconds > 0 THEN now() + make_interval(secs => target.delay_seconds)
    END,
    delivery_id = delivery.id,
    completed_at = CASE WHEN target.status <> 'pending' THEN now() END,
    updated_at = now(),
    version = jobs.version + 1
FROM target
LEFT JOIN delivery ON target.id = delivery.job_id
WHERE jobs.id = target.id
RETURNING jobs.id AS job_id, jobs.attempt, jobs.status;

-- name: list_running_jobs
-- What the database says a worker runs: to stop what it must, and to give back what it doesn't know of.
-- params:  worker_id
-- returns: job_id, attempt, cancel_requested
-- index:   jobs_running_idx
SELECT id AS job_id, attempt, cancel_requested_at IS NOT NULL AS cancel_requested
FROM jobs
WHERE worker_id = :worker_id::uuid AND status = 'running'
ORDER BY id
LIMIT 10000;

-- name: rescue_jobs
-- Take at most 1,000 running jobs from workers whose lease is over, or that left no row: back to the queue, or, the third time a worker
-- is lost with the same job, failed. One that was asked to stop is cancelled.
-- returns: job_id, attempt, status of each
-- locks:   those job rows, SKIP LOCKED
-- index:   jobs_running_idx
WITH lost AS (
    SELECT
        jobs.id, jobs.attempt, jobs.queue, jobs.priority, jobs.worker_id, jobs.due_at, jobs.started_at,
        CASE
            WHEN jobs.cancel_requested_at IS NOT NULL THEN 'cancelled'::job_status
            WHEN jobs.lost_attempts + 1 >= 3 THEN 'failed'
            ELSE 'pending'
        END AS status
    FROM jobs
    WHERE jobs.status = 'running'
        AND NOT EXISTS (SELECT FROM workers WHERE workers.id = jobs.worker_id AND workers.lease_until >= now())
    ORDER BY jobs.id
    LIMIT 1000
    FOR UPDATE OF jobs SKIP LOCKED
),
delivery AS (
    SELECT lost.id AS job_id, deliver_job(lost.id, lost.queue, lost.priority) AS id FROM lost WHERE lost.status = 'pending'
),
recorded AS (
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message)
    SELECT
        lost.id, lost.attempt, lost.worker_id, lost.due_at, lost.started_at, 'worker_lost', 'worker_lost',
        'The worker that ran this attempt disappeared.'
    FROM lost
)
UPDATE jobs
SET
    status = lost.status,
    lost_attempts = jobs.lost_attempts + 1,
    error_code = CASE lost.status WHEN 'failed' THEN 'worker_lost' END,
    error_message = CASE lost.status
        WHEN 'failed' THEN 'Three workers disappeared while they ran this job; it may be what brings them down.'
    END,
    due_at = CASE lost.status WHEN 'pending' THEN now() ELSE jobs.due_at END,
    delivery_id = delivery.id,
    completed_at = CASE WHEN lost.status <> 'pending' THEN now() END,
    updated_at = now(),
    version = jobs.version + 1
FROM lost
LEFT JOIN delivery ON lost.id = delivery.job_id
WHERE jobs.id = lost.id
RETURNING jobs.id AS job_id, jobs.attempt, jobs.status;
