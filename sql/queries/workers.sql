-- Worker processes and their leases.

-- name: renew_lease
-- Register a worker, or keep it alive: its jobs are its own for another 15 s. A row that somebody removed comes back.
-- params:  worker_id, host, pid, version, queues, concurrency, loop_lag_ms, stopping
-- returns: one row: lease_until
-- locks:   the worker row
-- index:   workers_pkey
INSERT INTO workers (id, host, pid, version, queues, concurrency, loop_lag_ms, stopping, lease_until)
VALUES (
    :worker_id::uuid, :host::text, :pid::integer, :version::text, :queues::text [], :concurrency::integer,
    :loop_lag_ms::integer, :stopping::boolean, now() + interval '15 s'
)
ON CONFLICT (id) DO UPDATE
SET lease_until = excluded.lease_until, loop_lag_ms = excluded.loop_lag_ms, stopping = excluded.stopping
RETURNING workers.lease_until;

-- name: remove_worker
-- Take a stopped worker off the list. Whatever it still runs is rescued at once.
-- params:  worker_id
-- locks:   the worker row
DELETE FROM workers WHERE id = :worker_id::uuid;

-- name: remove_dead_workers
-- Forget at most 1,000 workers whose lease ended more than a day ago.
-- returns: one row: how many
-- index:   workers_lease_idx
WITH dead AS (
    SELECT workers.id FROM workers
    WHERE workers.lease_until < now() - interval '1 day'
    ORDER BY workers.lease_until
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM workers WHERE workers.id = ANY(ARRAY(SELECT dead.id FROM dead)) RETURNING workers.id
)
SELECT count(*) AS removed FROM removed;

-- name: count_live_workers
-- How many workers can take jobs now.
-- returns: one row
SELECT count(*) AS live FROM workers WHERE lease_until > now() AND NOT stopping;

-- name: publish_job_types
-- Say which job types this worker knows, and how it describes them, for those who submit with SQL.
-- params:  arrays of one length: names, queues, audiences, max_attempts, timeouts_seconds, summaries, parameters_schemas
-- locks:   the rows of those types, in the order given: give them in the order of their names, so that two of these can't deadlock
-- index:   job_types_pkey
-- test:    tests/worker/test_service.py
INSERT INTO job_types (name, queue, audience, max_attempts, timeout_seconds, summary, parameters_schema, seen_at)
SELECT given.name, given.queue, given.audience, given.max_attempts, given.timeout_seconds, given.summary, given.parameters_schema, now()
FROM unnest(
    :names::text [], :queues::text [], :audiences::text [], :max_attempts::integer [], :timeouts_seconds::float8 [], :summaries::text [],
    :parameters_schemas::jsonb []
) AS given (name, queue, audience, max_attempts, timeout_seconds, summary, parameters_schema)
ON CONFLICT (name) DO UPDATE
SET
    queue = excluded.queue,
    audience = excluded.audience,
    max_attempts = excluded.max_attempts,
    timeout_seconds = excluded.timeout_seconds,
    summary = excluded.summary,
    parameters_schema = excluded.parameters_schema,
    seen_at = excluded.seen_at;
