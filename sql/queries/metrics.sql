-- Figures for monitoring that the statistics of reports.sql don't have. Asked every few seconds for ever: each is an index look-up, or of
-- a small table.

-- name: worker_figures
-- The worker processes all together, and what has ever been claimed and delivered: both numbers are those of sequences, so that they only
-- grow and cost nothing; what was rolled back is counted too.
-- returns: one row: now, live, stopping, lost (workers by state), slots (of live ones), shortest_lease_seconds and loop_lag_seconds (of
--          those with a valid lease; null without any), claims, deliveries
SELECT
    now() AS now,
    count(*) FILTER (WHERE workers.lease_until > now() AND NOT workers.stopping) AS live,
    count(*) FILTER (WHERE workers.lease_until > now() AND workers.stopping) AS stopping,
    count(*) FILTER (WHERE workers.lease_until <= now()) AS lost,
    coalesce(sum(workers.concurrency) FILTER (WHERE workers.lease_until > now() AND NOT workers.stopping), 0)::bigint AS slots,
    extract(EPOCH FROM min(workers.lease_until) FILTER (WHERE workers.lease_until > now()) - now())::float8 AS shortest_lease_seconds,
    (max(workers.loop_lag_ms) FILTER (WHERE workers.lease_until > now()) / 1000.0)::float8 AS loop_lag_seconds,
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('claims', 'id')::regclass), 0) AS claims,
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('procrastinate_jobs', 'id')::regclass), 0) AS deliveries
FROM workers;

-- name: count_ended_attempts
-- Attempts that ended in a span of time. The type is looked up row by row: a join might read all jobs there are.
-- params:  since (exclusive), until (inclusive)
-- returns: one row per job type and outcome that occurs: job_type, outcome, attempts
-- index:   job_attempts_ended_idx, jobs_pkey
SELECT ended.job_type, ended.outcome, count(*) AS attempts
FROM (
    SELECT
        (SELECT jobs.job_type FROM jobs WHERE jobs.id = job_attempts.job_id) AS job_type,
        job_attempts.outcome
    FROM job_attempts
    WHERE job_attempts.ended_at > :since::timestamptz AND job_attempts.ended_at <= :until::timestamptz
) AS ended
WHERE ended.job_type IS NOT NULL
GROUP BY ended.job_type, ended.outcome
ORDER BY ended.job_type, ended.outcome
LIMIT 10000;

-- name: count_finishes
-- Statements by which workers recorded those attempts: all that one of them records has one time.
-- params:  since (exclusive), until (inclusive)
-- returns: one row: finishes
-- index:   job_attempts_ended_idx
SELECT count(*) AS finishes
FROM (
    SELECT DISTINCT job_attempts.worker_id, job_attempts.ended_at
    FROM job_attempts
    WHERE job_attempts.ended_at > :since::timestamptz AND job_attempts.ended_at <= :until::timestamptz
        AND job_attempts.outcome IN ('completed', 'failed', 'cancelled', 'released')
) AS statements;
