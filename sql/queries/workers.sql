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
