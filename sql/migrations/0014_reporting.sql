-- The views people read: a contract by version. A published view never loses a column, nor does one change its type or its meaning; what
-- has to differ becomes a view _v2 beside it (docs/decisions/0018-reporting-contract.md). docs/reporting.md is made of these comments.
-- locks: ACCESS SHARE on the tables that are read; new objects only.
-- Until `jobhub migrate --reporting-role` nobody but the owner reads them.

CREATE SCHEMA reporting;
COMMENT ON SCHEMA reporting IS 'What people read of jobhub with SQL: views that only ever gain columns';

CREATE VIEW reporting.jobs_v1 AS
SELECT
    jobs.id,
    jobs.owner_id,
    jobs.job_type::text AS job_type,
    jobs.queue::text AS queue,
    jobs.priority::integer AS priority,
    jobs.status::text AS status,
    jobs.progress_percentage::integer AS progress_percentage,
    jobs.attempt,
    jobs.failed_attempts,
    jobs.lost_attempts,
    jobs.max_attempts,
    jobs.error_code,
    jobs.scheduled_for,
    jobs.due_at,
    jobs.created_at,
    jobs.updated_at,
    jobs.started_at,
    jobs.completed_at,
    jobs.cancel_requested_at,
    jobs.intervened_by::text AS intervened_by,
    jobs.worker_id
FROM jobs;

COMMENT ON VIEW reporting.jobs_v1 IS 'One row per job, as it is now. Nothing a user wrote, and nothing a handler said, is in it. Give it a range of created_at';
COMMENT ON COLUMN reporting.jobs_v1.id IS 'UUIDv7, as the API shows it';
COMMENT ON COLUMN reporting.jobs_v1.owner_id IS 'Who submitted it; a users id tells nothing else';
COMMENT ON COLUMN reporting.jobs_v1.job_type IS 'The registered name of the handler that runs it';
COMMENT ON COLUMN reporting.jobs_v1.queue IS 'The lane it is delivered in';
COMMENT ON COLUMN reporting.jobs_v1.priority IS 'From -100 to 100; higher runs first';
COMMENT ON COLUMN reporting.jobs_v1.status IS 'pending, running, completed, failed or cancelled';
COMMENT ON COLUMN reporting.jobs_v1.progress_percentage IS '0 to 100, as the handler reports it; 100 once completed';
COMMENT ON COLUMN reporting.jobs_v1.attempt IS 'How often it was started';
COMMENT ON COLUMN reporting.jobs_v1.failed_attempts IS 'Attempts that failed since the submit or the last manual retry';
COMMENT ON COLUMN reporting.jobs_v1.lost_attempts IS 'Attempts lost with their worker since then';
COMMENT ON COLUMN reporting.jobs_v1.max_attempts IS 'How many failed attempts make it fail';
COMMENT ON COLUMN reporting.jobs_v1.error_code IS 'Why the latest attempt failed, as a stable word';
COMMENT ON COLUMN reporting.jobs_v1.scheduled_for IS 'When it was asked to run: by the user, or by the backoff after a failure; null: at once';
COMMENT ON COLUMN reporting.jobs_v1.due_at IS 'When it became, or becomes, ready to run';
COMMENT ON COLUMN reporting.jobs_v1.created_at IS 'When it was submitted. Indexed';
COMMENT ON COLUMN reporting.jobs_v1.updated_at IS 'When it last changed in a way a client can see';
COMMENT ON COLUMN reporting.jobs_v1.started_at IS 'When the latest attempt started; null before the first, and after a manual retry';
COMMENT ON COLUMN reporting.jobs_v1.completed_at IS 'When it finished: completed, failed or cancelled. Indexed coarsely';
COMMENT ON COLUMN reporting.jobs_v1.cancel_requested_at IS 'When it was first asked to stop';
COMMENT ON COLUMN reporting.jobs_v1.intervened_by IS 'owner or administrator: in which role somebody cancelled it, or completed it by hand';
COMMENT ON COLUMN reporting.jobs_v1.worker_id IS 'workers_v1.id of the latest attempt''s worker, which may be gone';

CREATE VIEW reporting.attempts_v1 AS
SELECT
    job_attempts.job_id,
    job_attempts.number,
    jobs.job_type::text AS job_type,
    jobs.owner_id,
    job_attempts.worker_id,
    job_attempts.due_at,
    job_attempts.started_at,
    job_attempts.ended_at,
    job_attempts.outcome::text AS outcome,
    job_attempts.error_code,
    greatest(0, extract(EPOCH FROM job_attempts.started_at - job_attempts.due_at))::double precision AS waiting_seconds,
    extract(EPOCH FROM job_attempts.ended_at - job_attempts.started_at)::double precision AS processing_seconds
FROM job_attempts
-- Left, though every attempt has its job: a query that asks for none of the job's columns is spared the join.
LEFT JOIN jobs ON job_attempts.job_id = jobs.id;

COMMENT ON VIEW reporting.attempts_v1 IS 'One row per ended attempt; a running one is in running_now_v1. Give it a range of ended_at';
COMMENT ON COLUMN reporting.attempts_v1.job_id IS 'jobs_v1.id';
COMMENT ON COLUMN reporting.attempts_v1.number IS 'Counted from 1 over the whole life of the job, retries included';
COMMENT ON COLUMN reporting.attempts_v1.job_type IS 'Of the job';
COMMENT ON COLUMN reporting.attempts_v1.owner_id IS 'Who submitted the job';
COMMENT ON COLUMN reporting.attempts_v1.worker_id IS 'workers_v1.id of the process that ran it, which may be gone';
COMMENT ON COLUMN reporting.attempts_v1.due_at IS 'Since when the job had been ready to run';
COMMENT ON COLUMN reporting.attempts_v1.started_at IS 'When a worker claimed it';
COMMENT ON COLUMN reporting.attempts_v1.ended_at IS 'When its outcome was recorded. Indexed';
COMMENT ON COLUMN reporting.attempts_v1.outcome IS 'completed, failed, cancelled, released (its worker stopped), worker_lost or superseded (completed by hand meanwhile)';
COMMENT ON COLUMN reporting.attempts_v1.error_code IS 'Why it failed, as a stable word';
COMMENT ON COLUMN reporting.attempts_v1.waiting_seconds IS 'From due to started; 0 if it started early';
COMMENT ON COLUMN reporting.attempts_v1.processing_seconds IS 'From started to ended';

CREATE VIEW reporting.running_now_v1 AS
SELECT
    jobs.id AS job_id,
    jobs.owner_id,
    jobs.job_type::text AS job_type,
    jobs.queue::text AS queue,
    jobs.attempt,
    jobs.worker_id,
    jobs.started_at,
    extract(EPOCH FROM now() - jobs.started_at)::double precision AS running_seconds,
    jobs.progress_percentage::integer AS progress_percentage,
    jobs.cancel_requested_at,
    extract(EPOCH FROM workers.lease_until - now())::double precision AS lease_seconds
FROM jobs
LEFT JOIN workers ON jobs.worker_id = workers.id
WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims)) AND jobs.status = 'running';

COMMENT ON VIEW reporting.running_now_v1 IS 'One row per job that runs now';
COMMENT ON COLUMN reporting.running_now_v1.job_id IS 'jobs_v1.id';
COMMENT ON COLUMN reporting.running_now_v1.owner_id IS 'Who submitted it';
COMMENT ON COLUMN reporting.running_now_v1.job_type IS 'Of the job';
COMMENT ON COLUMN reporting.running_now_v1.queue IS 'The lane it was delivered in';
COMMENT ON COLUMN reporting.running_now_v1.attempt IS 'The number of the attempt that runs';
COMMENT ON COLUMN reporting.running_now_v1.worker_id IS 'workers_v1.id of the process that runs it';
COMMENT ON COLUMN reporting.running_now_v1.started_at IS 'When a worker claimed it';
COMMENT ON COLUMN reporting.running_now_v1.running_seconds IS 'How long ago that is';
COMMENT ON COLUMN reporting.running_now_v1.progress_percentage IS '0 to 100, as the handler reports it';
COMMENT ON COLUMN reporting.running_now_v1.cancel_requested_at IS 'When it was asked to stop; null: it was not';
COMMENT ON COLUMN reporting.running_now_v1.lease_seconds IS 'What is left of its worker''s lease; negative: the worker is silent, and the job will be rescued; null: the worker is not on record';

CREATE VIEW reporting.queue_now_v1 AS
SELECT
    counted.job_type,
    counted.queue,
    sum(counted.due)::bigint AS due,
    sum(counted.held)::bigint AS held,
    sum(counted.scheduled)::bigint AS scheduled,
    sum(counted.running)::bigint AS running,
    min(counted.oldest_due_at) AS oldest_due_at,
    extract(EPOCH FROM now() - min(counted.oldest_due_at))::double precision AS oldest_due_seconds
FROM (
    SELECT
        delivered.job_type,
        delivered.queue,
        delivered.due,
        delivered.held,
        0 AS scheduled,
        0 AS running,
        first_job.due_at AS oldest_due_at
    FROM (
        SELECT
            task_name::text AS job_type,
            queue_name::text AS queue,
            count(*) AS due,
            count(*) FILTER (WHERE procrastinate_jobs.held) AS held,
            min(procrastinate_jobs.id) FILTER (WHERE NOT procrastinate_jobs.held) AS first_id
        FROM procrastinate_jobs
        WHERE procrastinate_jobs.status = 'todo'
        GROUP BY task_name, queue_name
    ) AS delivered
    LEFT JOIN procrastinate_jobs AS first_delivery ON delivered.first_id = first_delivery.id
    LEFT JOIN jobs AS first_job ON (first_delivery.args ->> 'job_id')::uuid = first_job.id AND first_job.status = 'pending'
    UNION ALL
    SELECT
        jobs.job_type::text,
        jobs.queue::text,
        count(*) FILTER (WHERE jobs.deliver_at <= now()),
        0,
        count(*) FILTER (WHERE jobs.deliver_at > now()),
        0,
        min(jobs.due_at) FILTER (WHERE jobs.deliver_at <= now())
    FROM jobs
    WHERE jobs.deliver_at IS NOT NULL
    GROUP BY jobs.job_type::text, jobs.queue::text
    UNION ALL
    SELECT running_now_v1.job_type, running_now_v1.queue, 0, 0, 0, count(*), NULL
    FROM reporting.running_now_v1
    GROUP BY running_now_v1.job_type, running_now_v1.queue
) AS counted
GROUP BY counted.job_type, counted.queue;

COMMENT ON VIEW reporting.queue_now_v1 IS 'What waits and what runs now, by job type and queue; a type with neither has no row';
COMMENT ON COLUMN reporting.queue_now_v1.job_type IS 'The job type';
COMMENT ON COLUMN reporting.queue_now_v1.queue IS 'The lane';
COMMENT ON COLUMN reporting.queue_now_v1.due IS 'Pending jobs whose time has come';
COMMENT ON COLUMN reporting.queue_now_v1.held IS 'Those of the due ones that wait because their owner has as many jobs running as they may';
COMMENT ON COLUMN reporting.queue_now_v1.scheduled IS 'Pending jobs whose time is yet to come, backoffs after a failure included';
COMMENT ON COLUMN reporting.queue_now_v1.running IS 'Jobs that run';
COMMENT ON COLUMN reporting.queue_now_v1.oldest_due_at IS 'Since when the job has been due that is longest in the queue, without held ones; null: none is due';
COMMENT ON COLUMN reporting.queue_now_v1.oldest_due_seconds IS 'How long ago that is';

CREATE VIEW reporting.workers_v1 AS
SELECT
    workers.id,
    workers.host,
    workers.pid,
    workers.version,
    workers.queues,
    workers.concurrency,
    workers.started_at,
    workers.lease_until,
    workers.lease_until > now() AS is_alive,
    workers.stopping AS is_stopping,
    workers.loop_lag_ms,
    coalesce(running.jobs, 0) AS running
FROM workers
LEFT JOIN (
    SELECT running_now_v1.worker_id, count(*) AS jobs FROM reporting.running_now_v1 GROUP BY running_now_v1.worker_id
) AS running ON workers.id = running.worker_id;

COMMENT ON VIEW reporting.workers_v1 IS 'One row per worker process that lives, or died within the last day';
COMMENT ON COLUMN reporting.workers_v1.id IS 'UUIDv7, new at every start of a process';
COMMENT ON COLUMN reporting.workers_v1.host IS 'The machine it runs on';
COMMENT ON COLUMN reporting.workers_v1.pid IS 'Its process id there';
COMMENT ON COLUMN reporting.workers_v1.version IS 'The version of jobhub it runs';
COMMENT ON COLUMN reporting.workers_v1.queues IS 'The queues it takes jobs from';
COMMENT ON COLUMN reporting.workers_v1.concurrency IS 'How many jobs it runs at once';
COMMENT ON COLUMN reporting.workers_v1.started_at IS 'When the process registered';
COMMENT ON COLUMN reporting.workers_v1.lease_until IS 'Its jobs are its own until then; renewed every 3 s for 15 s';
COMMENT ON COLUMN reporting.workers_v1.is_alive IS 'Whether its lease is valid';
COMMENT ON COLUMN reporting.workers_v1.is_stopping IS 'Whether it was told to stop and only finishes what it runs';
COMMENT ON COLUMN reporting.workers_v1.loop_lag_ms IS 'How late its event loop was when it last renewed; over 1,000: a handler blocks it';
COMMENT ON COLUMN reporting.workers_v1.running IS 'Jobs it runs now';

-- One pass over counts and histogram, because a join of the two would lose a range of `at` on one side: this way it reaches both indexes,
-- through the windows and the grouping, whose keys all have `at`.
CREATE VIEW job_stat_spans AS
SELECT
    summed.resolution,
    summed.at,
    summed.job_type,
    sum(summed.completed)::bigint AS completed,
    sum(summed.failed)::bigint AS failed,
    sum(summed.cancelled)::bigint AS cancelled,
    sum(summed.jobs_removed)::bigint AS jobs_removed,
    sum(summed.attempts_completed)::bigint AS attempts_completed,
    sum(summed.attempts_failed)::bigint AS attempts_failed,
    sum(summed.attempts_cancelled)::bigint AS attempts_cancelled,
    sum(summed.attempts_released)::bigint AS attempts_released,
    sum(summed.attempts_worker_lost)::bigint AS attempts_worker_lost,
    sum(summed.attempts_superseded)::bigint AS attempts_superseded,
    (sum(summed.waiting_microseconds) / 1e6)::double precision AS waiting_seconds_total,
    (sum(summed.waiting_microseconds) / 1e6 / nullif(sum(summed.attempts_completed + summed.attempts_failed), 0))::double precision
        AS waiting_seconds_average,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.waiting_so_far >= 0.50 * summed.waiting_all AND summed.waiting_all > 0))
        AS waiting_seconds_p50,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.waiting_so_far >= 0.95 * summed.waiting_all AND summed.waiting_all > 0))
        AS waiting_seconds_p95,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.waiting_so_far >= 0.99 * summed.waiting_all AND summed.waiting_all > 0))
        AS waiting_seconds_p99,
    (sum(summed.processing_microseconds) / 1e6)::double precision AS processing_seconds_total,
    (sum(summed.processing_microseconds) / 1e6 / nullif(sum(summed.attempts_completed + summed.attempts_failed), 0))::double precision
        AS processing_seconds_average,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.processing_so_far >= 0.50 * summed.processing_all AND summed.processing_all > 0))
        AS processing_seconds_p50,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.processing_so_far >= 0.95 * summed.processing_all AND summed.processing_all > 0))
        AS processing_seconds_p95,
    stat_bucket_seconds(min(summed.bucket) FILTER (WHERE summed.processing_so_far >= 0.99 * summed.processing_all AND summed.processing_all > 0))
        AS processing_seconds_p99
FROM (
    SELECT
        counted.resolution,
        counted.at,
        counted.job_type,
        counted.bucket,
        sum(counted.completed)::bigint AS completed,
        sum(counted.failed)::bigint AS failed,
        sum(counted.cancelled)::bigint AS cancelled,
        sum(counted.attempts_completed)::bigint AS attempts_completed,
        sum(counted.attempts_failed)::bigint AS attempts_failed,
        sum(counted.attempts_cancelled)::bigint AS attempts_cancelled,
        sum(counted.attempts_released)::bigint AS attempts_released,
        sum(counted.attempts_worker_lost)::bigint AS attempts_worker_lost,
        sum(counted.attempts_superseded)::bigint AS attempts_superseded,
        sum(counted.jobs_removed)::bigint AS jobs_removed,
        sum(counted.waiting_microseconds)::bigint AS waiting_microseconds,
        sum(counted.processing_microseconds)::bigint AS processing_microseconds,
        sum(sum(counted.waiting)) OVER so_far AS waiting_so_far,
        sum(sum(counted.waiting)) OVER whole AS waiting_all,
        sum(sum(counted.processing)) OVER so_far AS processing_so_far,
        sum(sum(counted.processing)) OVER whole AS processing_all
    FROM (
        SELECT
            resolution, at, job_type, NULL::smallint AS bucket,
            completed, failed, cancelled, completed_removed + failed_removed + cancelled_removed AS jobs_removed,
            attempts_completed, attempts_failed, attempts_cancelled, attempts_released, attempts_worker_lost, attempts_superseded,
            waiting_microseconds, processing_microseconds, 0::bigint AS waiting, 0::bigint AS processing
        FROM job_stats_current
        UNION ALL
        -- Of one type with the other half, or its index would not be reached.
        SELECT
            resolution, at, job_type, bucket,
            0::bigint, 0::bigint, 0::bigint, 0::bigint,
            0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
            0::bigint, 0::bigint, waiting, processing
        FROM job_time_stats_current
    ) AS counted
    GROUP BY counted.resolution, counted.at, counted.job_type, counted.bucket
    WINDOW
        so_far AS (PARTITION BY counted.resolution, counted.at, counted.job_type ORDER BY counted.bucket),
        whole AS (PARTITION BY counted.resolution, counted.at, counted.job_type)
) AS summed
GROUP BY summed.resolution, summed.at, summed.job_type;

COMMENT ON VIEW job_stat_spans IS 'Counts and percentiles by resolution, span and job type, of which the published views are parts';

CREATE VIEW reporting.job_stats_by_minute_v1 AS
SELECT
    at,
    job_type,
    completed,
    failed,
    cancelled,
    jobs_removed,
    attempts_completed,
    attempts_failed,
    attempts_cancelled,
    attempts_released,
    attempts_worker_lost,
    attempts_superseded,
    waiting_seconds_total,
    waiting_seconds_average,
    waiting_seconds_p50,
    waiting_seconds_p95,
    waiting_seconds_p99,
    processing_seconds_total,
    processing_seconds_average,
    processing_seconds_p50,
    processing_seconds_p95,
    processing_seconds_p99
FROM job_stat_spans
WHERE resolution = 'minute';

CREATE VIEW reporting.job_stats_by_hour_v1 AS
SELECT
    at,
    job_type,
    completed,
    failed,
    cancelled,
    jobs_removed,
    attempts_completed,
    attempts_failed,
    attempts_cancelled,
    attempts_released,
    attempts_worker_lost,
    attempts_superseded,
    waiting_seconds_total,
    waiting_seconds_average,
    waiting_seconds_p50,
    waiting_seconds_p95,
    waiting_seconds_p99,
    processing_seconds_total,
    processing_seconds_average,
    processing_seconds_p50,
    processing_seconds_p95,
    processing_seconds_p99
FROM job_stat_spans
WHERE resolution = 'hour';

CREATE VIEW reporting.job_stats_by_day_v1 AS
SELECT
    at,
    job_type,
    completed,
    failed,
    cancelled,
    jobs_removed,
    attempts_completed,
    attempts_failed,
    attempts_cancelled,
    attempts_released,
    attempts_worker_lost,
    attempts_superseded,
    waiting_seconds_total,
    waiting_seconds_average,
    waiting_seconds_p50,
    waiting_seconds_p95,
    waiting_seconds_p99,
    processing_seconds_total,
    processing_seconds_average,
    processing_seconds_p50,
    processing_seconds_p95,
    processing_seconds_p99
FROM job_stat_spans
WHERE resolution = 'day';

COMMENT ON VIEW reporting.job_stats_by_minute_v1 IS 'Finished jobs and ended attempts by job type and minute, for a week; a span without any has no row';
COMMENT ON VIEW reporting.job_stats_by_hour_v1 IS 'The same by hour, for 400 days';
COMMENT ON VIEW reporting.job_stats_by_day_v1 IS 'The same by day (UTC), for ever: clean-up takes nothing away';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.at IS 'When the span begins, UTC. Indexed';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.job_type IS 'The job type';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.completed IS 'Jobs that finished in the span as completed';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.failed IS 'Jobs that finished in the span as failed and were not retried since';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.cancelled IS 'Jobs that finished in the span as cancelled and were not retried since';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.jobs_removed IS 'How many of all these jobs were cleaned up: jobs_v1 has that many less';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_completed IS 'Attempts that ended in the span as completed';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_failed IS 'Attempts that ended in the span as failed, those that were followed by another one too';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_cancelled IS 'Attempts that ended in the span as cancelled';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_released IS 'Attempts given back by a worker that stopped';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_worker_lost IS 'Attempts lost with their worker';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.attempts_superseded IS 'Attempts whose job was completed by hand meanwhile';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.waiting_seconds_total IS 'Sum over the attempts that completed or failed, from due to started';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.waiting_seconds_average IS 'That sum by the number of these attempts; null without any';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.waiting_seconds_p50 IS 'The waiting time that half of these attempts did not exceed; within 5 %';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.waiting_seconds_p95 IS 'That 95 % did not exceed; within 5 %';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.waiting_seconds_p99 IS 'That 99 % did not exceed; within 5 %';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.processing_seconds_total IS 'Sum over the attempts that completed or failed, from started to ended';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.processing_seconds_average IS 'That sum by the number of these attempts; null without any';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.processing_seconds_p50 IS 'The processing time that half of these attempts did not exceed; within 5 %';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.processing_seconds_p95 IS 'That 95 % did not exceed; within 5 %';
COMMENT ON COLUMN reporting.job_stats_by_minute_v1.processing_seconds_p99 IS 'That 99 % did not exceed; within 5 %';

CREATE VIEW reporting.job_times_by_minute_v1 AS
SELECT
    at,
    job_type,
    stat_bucket_seconds(bucket) AS seconds,
    sum(waiting)::bigint AS waiting_attempts,
    sum(processing)::bigint AS processing_attempts
FROM job_time_stats_current
WHERE resolution = 'minute'
GROUP BY at, job_type, bucket;

CREATE VIEW reporting.job_times_by_hour_v1 AS
SELECT
    at,
    job_type,
    stat_bucket_seconds(bucket) AS seconds,
    sum(waiting)::bigint AS waiting_attempts,
    sum(processing)::bigint AS processing_attempts
FROM job_time_stats_current
WHERE resolution = 'hour'
GROUP BY at, job_type, bucket;

CREATE VIEW reporting.job_times_by_day_v1 AS
SELECT
    at,
    job_type,
    stat_bucket_seconds(bucket) AS seconds,
    sum(waiting)::bigint AS waiting_attempts,
    sum(processing)::bigint AS processing_attempts
FROM job_time_stats_current
WHERE resolution = 'day'
GROUP BY at, job_type, bucket;

COMMENT ON VIEW reporting.job_times_by_minute_v1 IS 'How long completed and failed attempts waited and ran: a histogram by job type and minute, for a week. Add it up for percentiles of other spans, or of several types';
COMMENT ON VIEW reporting.job_times_by_hour_v1 IS 'The same by hour, for 400 days';
COMMENT ON VIEW reporting.job_times_by_day_v1 IS 'The same by day (UTC), for ever';
COMMENT ON COLUMN reporting.job_times_by_minute_v1.at IS 'When the span begins, UTC. Indexed';
COMMENT ON COLUMN reporting.job_times_by_minute_v1.job_type IS 'The job type';
COMMENT ON COLUMN reporting.job_times_by_minute_v1.seconds IS 'A length of time; it stands for all within 5 % of it';
COMMENT ON COLUMN reporting.job_times_by_minute_v1.waiting_attempts IS 'Attempts that waited so long, from due to started';
COMMENT ON COLUMN reporting.job_times_by_minute_v1.processing_attempts IS 'Attempts that ran so long';

-- The three of a kind differ in the length of their spans and in nothing else.
DO $$
DECLARE
    told record;
    span text;
BEGIN
    FOREACH span IN ARRAY ARRAY['hour', 'day'] LOOP
        FOR told IN
            SELECT
                replace(pg_class.relname, 'minute', span) AS view_name,
                pg_attribute.attname AS column_name,
                col_description(pg_class.oid, pg_attribute.attnum) AS words
            FROM pg_class INNER JOIN pg_attribute ON pg_class.oid = pg_attribute.attrelid
            WHERE pg_class.relnamespace = 'reporting'::regnamespace
                AND pg_class.relname LIKE '%\_by\_minute\_v1'
                AND pg_attribute.attnum > 0
        LOOP
            EXECUTE format('COMMENT ON COLUMN reporting.%I.%I IS %L', told.view_name, told.column_name, told.words);
        END LOOP;
    END LOOP;
END;
$$;

CREATE VIEW reporting.failures_v1 AS
SELECT
    at,
    job_type,
    error_code,
    sum(failed)::bigint AS failed,
    sum(failed_removed)::bigint AS jobs_removed
FROM job_failure_stats_current
WHERE resolution = 'hour'
GROUP BY at, job_type, error_code;

COMMENT ON VIEW reporting.failures_v1 IS 'Failed jobs by hour, job type and error_code, for 400 days';
COMMENT ON COLUMN reporting.failures_v1.at IS 'When the hour begins, UTC. Indexed';
COMMENT ON COLUMN reporting.failures_v1.job_type IS 'The job type';
COMMENT ON COLUMN reporting.failures_v1.error_code IS 'Why they failed, as a stable word';
COMMENT ON COLUMN reporting.failures_v1.failed IS 'Jobs that finished in the hour as failed with this code and were not retried since';
COMMENT ON COLUMN reporting.failures_v1.jobs_removed IS 'How many of them were cleaned up';

-- What may hold private words, for those whom `jobhub migrate --reporting-role --reporting-private` lets read it.
CREATE VIEW reporting.jobs_private_v1 AS
SELECT
    jobs.id,
    jobs.title::text AS title,
    jobs.description::text AS description,
    jobs.tags::text [] AS tags,
    jobs.parameters::jsonb AS parameters,
    jobs.result,
    jobs.progress_message,
    jobs.error_message,
    jobs.intervention_reason
FROM jobs;

COMMENT ON VIEW reporting.jobs_private_v1 IS 'The words and values of each job that jobs_v1 leaves out: they may say anything';
COMMENT ON COLUMN reporting.jobs_private_v1.id IS 'jobs_v1.id';
COMMENT ON COLUMN reporting.jobs_private_v1.title IS 'The user''s own words';
COMMENT ON COLUMN reporting.jobs_private_v1.description IS 'The user''s own words, longer';
COMMENT ON COLUMN reporting.jobs_private_v1.tags IS 'The user''s own labels';
COMMENT ON COLUMN reporting.jobs_private_v1.parameters IS 'Input of the handler';
COMMENT ON COLUMN reporting.jobs_private_v1.result IS 'What the handler returned, or an administrator put in its place';
COMMENT ON COLUMN reporting.jobs_private_v1.progress_message IS 'The latest words of the handler about its progress';
COMMENT ON COLUMN reporting.jobs_private_v1.error_message IS 'Why the latest attempt failed, in words its owner may read';
COMMENT ON COLUMN reporting.jobs_private_v1.intervention_reason IS 'Why somebody cancelled it, or completed it by hand, in their words';

CREATE VIEW reporting.attempts_private_v1 AS
SELECT
    job_attempts.job_id,
    job_attempts.number,
    job_attempts.error_message,
    job_attempts.traceback
FROM job_attempts;

COMMENT ON VIEW reporting.attempts_private_v1 IS 'The words of each ended attempt that attempts_v1 leaves out';
COMMENT ON COLUMN reporting.attempts_private_v1.job_id IS 'jobs_v1.id';
COMMENT ON COLUMN reporting.attempts_private_v1.number IS 'attempts_v1.number';
COMMENT ON COLUMN reporting.attempts_private_v1.error_message IS 'Why it failed, in words the job''s owner may read';
COMMENT ON COLUMN reporting.attempts_private_v1.traceback IS 'Where it failed; tracebacks show values';

CREATE VIEW reporting.owners_private_v1 AS
SELECT
    users.id AS owner_id,
    users.email,
    users.role::text AS role,
    users.created_at,
    users.disabled_at
FROM users;

COMMENT ON VIEW reporting.owners_private_v1 IS 'The accounts that owner_id speaks of';
COMMENT ON COLUMN reporting.owners_private_v1.owner_id IS 'jobs_v1.owner_id';
COMMENT ON COLUMN reporting.owners_private_v1.email IS 'As typed';
COMMENT ON COLUMN reporting.owners_private_v1.role IS 'user or admin';
COMMENT ON COLUMN reporting.owners_private_v1.created_at IS 'When the account was made';
COMMENT ON COLUMN reporting.owners_private_v1.disabled_at IS 'Since when it is refused everywhere; null: it is active';
