-- What administrators see: statistics and the state of the queue.
-- A window of null means all of history. Counts of pending and running are of now; everything else is of what finished in the window.
-- Times are of attempts: a job that ran twice counts twice, with the time of each.

-- name: count_finished
-- Jobs that finished in the window, by type and status.
-- params:  window_seconds or null
-- returns: one row per job type and status that occurs: job_type, status, jobs
-- index:   jobs_finished_brin
-- limit:   30 s
SELECT job_type, status, count(*) AS jobs
FROM jobs
WHERE completed_at IS NOT NULL
    AND (:window_seconds::float8 IS NULL OR completed_at > now() - make_interval(secs => :window_seconds::float8))
GROUP BY job_type, status
ORDER BY job_type, status
LIMIT 10000;

-- name: measure_attempts
-- Seconds of processing and of waiting, by job type and over all.
-- params:  window_seconds or null
-- returns: one row per job type, and one whose job_type is null over all of them
-- index:   job_attempts_ended_idx
-- limit:   30 s
WITH measured AS (
    SELECT
        jobs.job_type,
        extract(EPOCH FROM job_attempts.ended_at - job_attempts.started_at)::float8 AS processing,
        greatest(0, extract(EPOCH FROM job_attempts.started_at - job_attempts.due_at))::float8 AS waiting
    FROM job_attempts
    INNER JOIN jobs ON job_attempts.job_id = jobs.id
    WHERE job_attempts.outcome IN ('completed', 'failed')
        AND (:window_seconds::float8 IS NULL OR job_attempts.ended_at > now() - make_interval(secs => :window_seconds::float8))
)
SELECT
    measured.job_type,
    avg(measured.processing) AS processing_average,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY measured.processing) AS processing_percentiles,
    avg(measured.waiting) AS waiting_average,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY measured.waiting) AS waiting_percentiles
FROM measured
GROUP BY GROUPING SETS ((measured.job_type), ())
LIMIT 10000;

-- name: throughput
-- Jobs that finished, by bucket of time, empty buckets too.
-- params:  window_seconds or null (then from the first finished job, at most 1,000 buckets back), bucket_seconds
-- returns: one row per bucket, oldest first: at (its start), completed, failed, cancelled; none if nothing ever finished and
--          the window is null
-- index:   jobs_finished_brin
-- limit:   30 s
WITH span AS (
    SELECT
        make_interval(secs => :bucket_seconds::float8) AS bucket,
        coalesce(
            now() - make_interval(secs => :window_seconds::float8),
            (
                SELECT greatest(first_job.completed_at, now() - 999 * make_interval(secs => :bucket_seconds::float8))
                FROM (SELECT min(jobs.completed_at) AS completed_at FROM jobs) AS first_job
                WHERE first_job.completed_at IS NOT NULL
            )
        ) AS first_at
),
finished AS (
    SELECT
        date_bin(span.bucket, jobs.completed_at, '2000-01-01T00:00:00Z') AS at,
        count(*) FILTER (WHERE jobs.status = 'completed') AS completed,
        count(*) FILTER (WHERE jobs.status = 'failed') AS failed,
        count(*) FILTER (WHERE jobs.status = 'cancelled') AS cancelled
    FROM span
    INNER JOIN jobs ON jobs.completed_at >= span.first_at
    GROUP BY 1
)
SELECT
    slot.at,
    coalesce(finished.completed, 0) AS completed,
    coalesce(finished.failed, 0) AS failed,
    coalesce(finished.cancelled, 0) AS cancelled
FROM span
CROSS JOIN LATERAL generate_series(date_bin(span.bucket, span.first_at, '2000-01-01T00:00:00Z'), now(), span.bucket) AS slot (at)
LEFT JOIN finished ON slot.at = finished.at
ORDER BY slot.at
LIMIT 1001;

-- name: count_failures
-- Failed jobs by error code, the most frequent first.
-- params:  window_seconds or null
-- returns: at most 100 rows: error_code, count
-- index:   jobs_finished_brin
-- limit:   30 s
SELECT error_code, count(*) AS count
FROM jobs
WHERE status = 'failed'
    AND completed_at IS NOT NULL
    AND (:window_seconds::float8 IS NULL OR completed_at > now() - make_interval(secs => :window_seconds::float8))
GROUP BY error_code
ORDER BY count(*) DESC, error_code
LIMIT 100;

-- name: oldest_due
-- How long the longest-waiting due job has been waiting: one of the hundred with the oldest deliveries, or one that nobody has promoted.
-- One that is held waits for others of its owner, and no worker is to blame.
-- returns: one row: now, seconds (null if nothing is due)
-- index:   procrastinate_jobs_pkey, jobs_pkey, jobs_promote_idx
-- limit:   30 s
SELECT
    now() AS now,
    extract(EPOCH FROM now() - least(
        (
            SELECT min(jobs.due_at) FROM jobs
            WHERE jobs.delivery_id IS NOT NULL
                AND jobs.id = ANY(ARRAY(
                    SELECT (delivery.args ->> 'job_id')::uuid FROM procrastinate_jobs AS delivery
                    WHERE NOT delivery.held
                    ORDER BY delivery.id
                    LIMIT 100
                ))
        ),
        (SELECT min(jobs.due_at) FROM jobs WHERE jobs.deliver_at <= now())
    ))::float8 AS seconds;

-- name: count_pending
-- Pending jobs by type: those with a delivery, and those whose time is yet to come. One whose time came this instant counts as due.
-- returns: one row per type: job_type, due, scheduled
-- index:   jobs_promote_idx
-- limit:   30 s
SELECT pending.job_type, sum(pending.due)::bigint AS due, sum(pending.scheduled)::bigint AS scheduled
FROM (
    SELECT task_name AS job_type, count(*) AS due, 0 AS scheduled
    FROM procrastinate_jobs
    WHERE status = 'todo'
    GROUP BY task_name
    UNION ALL
    SELECT job_type, count(*) FILTER (WHERE deliver_at <= now()), count(*) FILTER (WHERE deliver_at > now())
    FROM jobs
    WHERE deliver_at IS NOT NULL
    GROUP BY job_type
) AS pending
GROUP BY pending.job_type
ORDER BY pending.job_type
LIMIT 10000;

-- name: list_workers
-- All workers on record with the jobs they run, the live ones first.
-- returns: at most 1,000 rows
-- index:   claims_of_worker_idx, jobs_pkey
-- limit:   30 s
SELECT
    workers.id, workers.host, workers.pid, workers.version, workers.started_at, workers.loop_lag_ms, workers.concurrency,
    extract(EPOCH FROM workers.lease_until - now())::float8 AS lease_seconds,
    workers.lease_until > now() AS alive,
    ARRAY(
        SELECT jobs.id FROM jobs
        WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims WHERE claims.worker_id = workers.id))
            AND jobs.worker_id = workers.id
            AND jobs.status = 'running'
        ORDER BY jobs.started_at
        LIMIT 1000
    ) AS current_jobs
FROM workers
ORDER BY workers.lease_until > now() DESC, workers.started_at
LIMIT 1000;

-- name: count_running
-- Running jobs by type.
-- returns: one row per type: job_type, running
-- index:   jobs_pkey; claims is small
-- limit:   30 s
SELECT job_type, count(*) AS running
FROM jobs
WHERE id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims)) AND status = 'running'
GROUP BY job_type
ORDER BY job_type
LIMIT 10000;

-- name: dispatch_lags
-- How far behind the loops are that every worker runs.
-- returns: one row: promotion_seconds, of the job longest due without a delivery; rescue_seconds, of the longest-dead worker with a running
--          job; both null if there is none
-- index:   jobs_promote_idx, jobs_pkey; claims is small
-- limit:   30 s
SELECT
    (SELECT extract(EPOCH FROM now() - min(jobs.deliver_at))::float8 FROM jobs WHERE jobs.deliver_at <= now()) AS promotion_seconds,
    (
        SELECT extract(EPOCH FROM now() - min(coalesce(workers.lease_until, jobs.started_at)))::float8
        FROM jobs
        LEFT JOIN workers ON jobs.worker_id = workers.id
        WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims))
            AND jobs.status = 'running'
            AND (workers.id IS NULL OR workers.lease_until < now())
    ) AS rescue_seconds;

-- name: count_failures_by_type
-- Jobs that failed within 7 days, by type and error code, and how many of them within 24 hours and one hour: the most frequent first.
-- returns: at most 200 rows: job_type, error_code, within_hour, within_day, within_week, latest_at
-- index:   jobs_finished_brin
-- limit:   30 s
-- test:    tests/web/ui/test_admin_pages.py
SELECT
    job_type,
    error_code,
    count(*) FILTER (WHERE completed_at > now() - interval '1 hour') AS within_hour,
    count(*) FILTER (WHERE completed_at > now() - interval '24 hours') AS within_day,
    count(*) AS within_week,
    max(completed_at) AS latest_at
FROM jobs
WHERE status = 'failed' AND completed_at > now() - interval '7 days'
GROUP BY job_type, error_code
ORDER BY within_hour DESC, within_day DESC, within_week DESC, job_type, error_code
LIMIT 200;
