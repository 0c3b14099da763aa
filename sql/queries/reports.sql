-- What administrators see: statistics and the state of the queue.
-- Counts of pending and running are of now; everything else is of what finished in a window, and read from the rollups and the changes that
-- are not in them yet: never from jobs. Times are of attempts: a job that ran twice counts twice, with the time of each.

-- name: count_finished
-- Jobs that finished in the window, and the times of attempts that ended in it, by type.
-- params:  resolutions, begins, ends, signs: the spans that make up the window (domain.spans), a null is no bound; since: when it begins,
--          or null
-- returns: one row per job type with anything to count: job_type, completed, failed, cancelled; waiting_seconds and processing_seconds of
--          all attempts together
-- index:   job_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
WITH stats AS (
    SELECT stored.*
    FROM unnest(:resolutions::stat_resolution [], :begins::timestamptz [], :ends::timestamptz [], :signs::integer [])
        AS spans (resolution, begins_at, ends_at, sign)
    CROSS JOIN LATERAL (
        SELECT
            job_stats.job_type,
            spans.sign * sum(job_stats.completed) AS completed,
            spans.sign * sum(job_stats.failed) AS failed,
            spans.sign * sum(job_stats.cancelled) AS cancelled,
            spans.sign * sum(job_stats.waiting_microseconds) AS waiting,
            spans.sign * sum(job_stats.processing_microseconds) AS processing
        FROM job_stats
        WHERE job_stats.resolution = spans.resolution
            AND job_stats.at >= coalesce(spans.begins_at, '-infinity')
            AND job_stats.at < coalesce(spans.ends_at, 'infinity')
        GROUP BY job_stats.job_type
    ) AS stored
    UNION ALL
    SELECT job_type, completed, failed, cancelled, waiting_microseconds, processing_microseconds
    FROM job_stats_changed
    WHERE moment >= coalesce(:since::timestamptz, '-infinity')
)
SELECT
    job_type, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled,
    (sum(waiting) / 1e6)::float8 AS waiting_seconds, (sum(processing) / 1e6)::float8 AS processing_seconds
FROM stats
GROUP BY job_type
ORDER BY job_type
LIMIT 10000;

-- name: measure_attempts
-- How long attempts that ended in the window waited and ran, as histograms (stat_histogram()) to be added up by type, each with its sign.
-- params:  resolutions, begins, ends, signs, since: as count_finished
-- returns: one row per job type and span, and one per job type for what is not folded yet: job_type, sign, waiting, processing
-- index:   job_time_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
SELECT stored.job_type, spans.sign, stored.waiting, stored.processing
FROM unnest(:resolutions::stat_resolution [], :begins::timestamptz [], :ends::timestamptz [], :signs::integer [])
    AS spans (resolution, begins_at, ends_at, sign)
CROSS JOIN LATERAL (
    SELECT job_time_stats.job_type, job_time_stats.waiting, job_time_stats.processing
    FROM job_time_stats
    WHERE job_time_stats.resolution = spans.resolution
        AND job_time_stats.at >= coalesce(spans.begins_at, '-infinity')
        AND job_time_stats.at < coalesce(spans.ends_at, 'infinity')
    -- Keeps this a look into the index for each of the few spans, never a join with all there is.
    OFFSET 0
) AS stored
UNION ALL
SELECT
    unfolded.job_type, 1,
    stat_histogram(array_agg(unfolded.bucket), array_agg(unfolded.waiting)),
    stat_histogram(array_agg(unfolded.bucket), array_agg(unfolded.processing))
FROM (
    SELECT job_type, bucket, sum(waiting) AS waiting, sum(processing) AS processing
    FROM job_time_stats_changed
    WHERE moment >= coalesce(:since::timestamptz, '-infinity')
    GROUP BY job_type, bucket
) AS unfolded
GROUP BY unfolded.job_type
LIMIT 1000000;

-- name: first_counted_at
-- The begin of the first day of which anything is counted.
-- returns: one row: at, null if nothing is
-- index:   job_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
SELECT least(
    (SELECT min(job_stats.at) FROM job_stats WHERE job_stats.resolution = 'day'),
    (SELECT stat_span('1 day', min(job_stat_changes.at)) FROM job_stat_changes)
) AS at;

-- name: throughput
-- Jobs that finished, by bucket of time, empty buckets too.
-- params:  since: the begin of the first bucket; resolution: of the spans to read, none longer than a bucket; bucket_seconds, which divide
--          a day
-- returns: one row per bucket until now, oldest first: at (its start), completed, failed, cancelled
-- index:   job_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
WITH bucket AS (
    SELECT make_interval(secs => :bucket_seconds::float8) AS length
),
stats AS (
    SELECT at, completed, failed, cancelled
    FROM job_stats
    -- Two bounds, or a plan for any values would expect a third of all there is.
    WHERE resolution = :resolution::stat_resolution AND at >= :since::timestamptz AND at < 'infinity'
    UNION ALL
    SELECT moment, completed, failed, cancelled
    FROM job_stats_changed
    WHERE moment >= :since::timestamptz
),
finished AS (
    SELECT
        date_bin(bucket.length, stats.at, :since::timestamptz) AS at,
        sum(stats.completed)::bigint AS completed, sum(stats.failed)::bigint AS failed, sum(stats.cancelled)::bigint AS cancelled
    FROM stats CROSS JOIN bucket
    GROUP BY 1
)
SELECT
    slot.at,
    coalesce(finished.completed, 0) AS completed,
    coalesce(finished.failed, 0) AS failed,
    coalesce(finished.cancelled, 0) AS cancelled
FROM bucket
CROSS JOIN LATERAL generate_series(:since::timestamptz, now(), bucket.length) AS slot (at)
LEFT JOIN finished ON slot.at = finished.at
ORDER BY slot.at
LIMIT 1001;

-- name: count_failures
-- Failed jobs by error code, the most frequent first.
-- params:  resolutions, begins, ends, signs, since: as count_finished
-- returns: at most 100 rows: error_code, count
-- index:   job_failure_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
WITH stats AS (
    SELECT stored.*
    FROM unnest(:resolutions::stat_resolution [], :begins::timestamptz [], :ends::timestamptz [], :signs::integer [])
        AS spans (resolution, begins_at, ends_at, sign)
    CROSS JOIN LATERAL (
        SELECT job_failure_stats.error_code, spans.sign * sum(job_failure_stats.failed) AS failed
        FROM job_failure_stats
        WHERE job_failure_stats.resolution = spans.resolution
            AND job_failure_stats.at >= coalesce(spans.begins_at, '-infinity')
            AND job_failure_stats.at < coalesce(spans.ends_at, 'infinity')
        GROUP BY job_failure_stats.error_code
    ) AS stored
    UNION ALL
    SELECT error_code, failed
    FROM job_failure_stats_changed
    WHERE moment >= coalesce(:since::timestamptz, '-infinity')
)
SELECT error_code, sum(failed)::bigint AS count
FROM stats
GROUP BY error_code
HAVING sum(failed) > 0
ORDER BY sum(failed) DESC, error_code
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

-- name: count_unfinished
-- Unfinished jobs by type: pending ones with a delivery, pending ones whose time is yet to come, running ones. One whose time came this
-- instant counts as due.
-- returns: one row per type: job_type, due, scheduled, running
-- index:   jobs_promote_idx, jobs_pkey; claims is small
-- limit:   30 s
SELECT
    unfinished.job_type,
    sum(unfinished.due)::bigint AS due, sum(unfinished.scheduled)::bigint AS scheduled, sum(unfinished.running)::bigint AS running
FROM (
    SELECT task_name AS job_type, count(*) AS due, 0 AS scheduled, 0 AS running
    FROM procrastinate_jobs
    WHERE status = 'todo'
    GROUP BY task_name
    UNION ALL
    SELECT job_type, count(*) FILTER (WHERE deliver_at <= now()), count(*) FILTER (WHERE deliver_at > now()), 0
    FROM jobs
    -- IS NOT NULL would be true of most jobs, for all PostgreSQL knows of a table it has not analysed yet.
    WHERE deliver_at >= '-infinity' AND deliver_at <= 'infinity'
    GROUP BY job_type
    UNION ALL
    SELECT job_type, 0, 0, count(*)
    FROM jobs
    WHERE id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims)) AND status = 'running'
    GROUP BY job_type
) AS unfinished
GROUP BY unfinished.job_type
ORDER BY unfinished.job_type
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

-- name: count_kept_before
-- Jobs that finished before a moment and were not cleaned up since, by type: of all there are, less those that finished later.
-- params:  resolutions, begins, ends: the spans from that moment on (domain.spans); before: the moment, with which a span begins that is
--          counted still
-- returns: one row per job type that has any: job_type, completed, failed, cancelled
-- index:   job_stats_pkey; job_stat_changes is small
-- test:    tests/services/test_clean_up.py, tests/contract/test_plans.py
WITH stats AS (
    SELECT
        job_type, completed - completed_removed AS completed, failed - failed_removed AS failed,
        cancelled - cancelled_removed AS cancelled
    FROM job_stats
    WHERE resolution = 'all_time' AND at < 'infinity'
    UNION ALL
    SELECT stored.*
    FROM unnest(:resolutions::stat_resolution [], :begins::timestamptz [], :ends::timestamptz []) AS spans (resolution, begins_at, ends_at)
    CROSS JOIN LATERAL (
        SELECT
            job_stats.job_type,
            sum(job_stats.completed_removed - job_stats.completed) AS completed,
            sum(job_stats.failed_removed - job_stats.failed) AS failed,
            sum(job_stats.cancelled_removed - job_stats.cancelled) AS cancelled
        FROM job_stats
        WHERE job_stats.resolution = spans.resolution
            AND job_stats.at >= coalesce(spans.begins_at, '-infinity')
            AND job_stats.at < coalesce(spans.ends_at, 'infinity')
        GROUP BY job_stats.job_type
    ) AS stored
    UNION ALL
    SELECT job_type, completed - completed_removed, failed - failed_removed, cancelled - cancelled_removed
    FROM job_stats_changed
    WHERE moment < :before::timestamptz
)
SELECT
    job_type, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled
FROM stats
GROUP BY job_type
HAVING sum(completed) > 0 OR sum(failed) > 0 OR sum(cancelled) > 0
ORDER BY job_type
LIMIT 10000;

-- name: count_failures_by_type
-- Jobs that failed within a week, by type and error code, and how many of them within a day and within an hour: the most frequent lately
-- first. The three begin as those windows of the statistics do: with a minute, with an hour, at 0, 6, 12 or 18 o'clock.
-- returns: at most 200 rows: job_type, error_code, within_hour, within_day, within_week; latest_at, when the minute began in which the
--          latest of them failed, or the hour if that was not within the last one, or the quarter of a day if not within 24
-- index:   job_failure_stats_pkey; job_stat_changes is small
-- test:    tests/store/test_reports.py, tests/contract/test_plans.py
WITH begin AS (
    SELECT
        stat_span('1 min', now() - interval '1 hour') AS of_hour,
        stat_span('1 hour', now() - interval '24 hours') AS of_day,
        stat_span('6 hours', now() - interval '7 days') AS of_week
),
failures AS (
    SELECT job_type, error_code, at, failed AS within_hour, 0 AS within_day, 0 AS within_week
    FROM job_failure_stats
    WHERE resolution = 'minute' AND at >= (SELECT begin.of_hour FROM begin) AND at < 'infinity'
    UNION ALL
    SELECT job_type, error_code, at, 0, failed, 0
    FROM job_failure_stats
    WHERE resolution = 'hour' AND at >= (SELECT begin.of_day FROM begin) AND at < 'infinity'
    UNION ALL
    SELECT job_type, error_code, at, 0, 0, failed
    FROM job_failure_stats
    WHERE resolution = 'six_hours' AND at >= (SELECT begin.of_week FROM begin) AND at < 'infinity'
    UNION ALL
    SELECT
        change.job_type, change.error_code, stat_span('1 min', change.moment),
        CASE WHEN change.moment >= begin.of_hour THEN change.failed ELSE 0 END,
        CASE WHEN change.moment >= begin.of_day THEN change.failed ELSE 0 END,
        change.failed
    FROM job_failure_stats_changed AS change CROSS JOIN begin
    WHERE change.moment >= begin.of_week
)
SELECT
    job_type,
    error_code,
    sum(within_hour)::bigint AS within_hour,
    sum(within_day)::bigint AS within_day,
    sum(within_week)::bigint AS within_week,
    max(at) FILTER (WHERE within_hour > 0 OR within_day > 0 OR within_week > 0) AS latest_at
FROM failures
GROUP BY job_type, error_code
HAVING sum(within_week) > 0
ORDER BY sum(within_hour) DESC, sum(within_day) DESC, sum(within_week) DESC, job_type, error_code
LIMIT 200;
