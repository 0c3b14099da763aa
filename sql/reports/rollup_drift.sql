-- Rollups that differ from what stands in jobs and job_attempts. Every row is a bug or somebody's hand in the tables; none is the right answer.
-- It reads the tables themselves, which is for their owner alone.
-- param: since timestamptz = 2000-01-01T00:00:00Z
\if :{?since} \else \set since 2000-01-01T00:00:00Z \endif
-- Of jobs that were cleaned up only their number is known to have been right. All of time is compared with the days it is made of.
WITH jobs_by_span AS MATERIALIZED (
    SELECT
        finest_stat_span(completed_at) AS span_at, job_type::text AS job_type, status,
        CASE status WHEN 'failed' THEN error_code END AS error_code, count(*) AS jobs
    FROM jobs
    WHERE completed_at >= stat_span('7 days', :'since'::timestamptz)
    GROUP BY 1, 2, 3, 4
),
attempts_by_span AS MATERIALIZED (
    SELECT
        finest_stat_span(ended.ended_at) AS span_at, jobs.job_type::text AS job_type, ended.outcome,
        CASE WHEN ended.outcome IN ('completed', 'failed') THEN stat_bucket(date_part('epoch', ended.started_at - ended.due_at)) END AS waited,
        CASE WHEN ended.outcome IN ('completed', 'failed') THEN stat_bucket(date_part('epoch', ended.ended_at - ended.started_at)) END AS ran,
        count(*) AS attempts,
        sum((greatest(date_part('epoch', ended.started_at - ended.due_at), 0) * 1e6)::bigint) AS waiting_microseconds,
        sum((greatest(date_part('epoch', ended.ended_at - ended.started_at), 0) * 1e6)::bigint) AS processing_microseconds
    FROM job_attempts AS ended
    INNER JOIN jobs ON ended.job_id = jobs.id
    WHERE ended.ended_at >= stat_span('7 days', :'since'::timestamptz)
    GROUP BY 1, 2, 3, 4, 5
),
in_rollups AS MATERIALIZED (
    SELECT stats.resolution, stats.at, stats.job_type, measure.what, measure.amount
    FROM job_stats_current AS stats
    CROSS JOIN LATERAL (VALUES
        ('completed', stats.completed - stats.completed_removed),
        ('failed', stats.failed - stats.failed_removed),
        ('cancelled', stats.cancelled - stats.cancelled_removed),
        (
            'attempts',
            stats.attempts_completed + stats.attempts_failed + stats.attempts_cancelled + stats.attempts_released
            + stats.attempts_worker_lost + stats.attempts_superseded - stats.attempts_removed
        ),
        ('attempts: completed', stats.attempts_completed),
        ('attempts: failed', stats.attempts_failed),
        ('attempts: cancelled', stats.attempts_cancelled),
        ('attempts: released', stats.attempts_released),
        ('attempts: worker_lost', stats.attempts_worker_lost),
        ('attempts: superseded', stats.attempts_superseded),
        ('attempts: waiting_microseconds', stats.waiting_microseconds),
        ('attempts: processing_microseconds', stats.processing_microseconds)
    ) AS measure (what, amount)
    WHERE stats.resolution IN ('day', 'all_time') OR stats.at >= :'since'::timestamptz
    UNION ALL
    SELECT resolution, at, job_type, 'failed with ' || error_code, failed - failed_removed
    FROM job_failure_stats_current
    WHERE resolution IN ('day', 'all_time') OR at >= :'since'::timestamptz
    UNION ALL
    SELECT times.resolution, times.at, times.job_type, measure.what, measure.amount
    FROM job_time_stats_current AS times
    CROSS JOIN LATERAL (VALUES
        ('attempts: waited in bucket ' || times.bucket, times.waiting),
        ('attempts: ran in bucket ' || times.bucket, times.processing)
    ) AS measure (what, amount)
    WHERE times.resolution IN ('day', 'all_time') OR times.at >= :'since'::timestamptz
),
in_tables AS (
    SELECT span.resolution, span.at, counted.job_type, measure.what, counted.jobs AS amount
    FROM jobs_by_span AS counted
    CROSS JOIN LATERAL (VALUES (counted.status::text), ('failed with ' || counted.error_code)) AS measure (what)
    CROSS JOIN LATERAL stat_spans(counted.span_at) AS span
    WHERE measure.what IS NOT NULL AND span.resolution <> 'all_time'
    UNION ALL
    SELECT span.resolution, span.at, counted.job_type, measure.what, measure.amount
    FROM attempts_by_span AS counted
    CROSS JOIN LATERAL (VALUES
        ('attempts', counted.attempts),
        ('attempts: ' || counted.outcome, counted.attempts),
        ('attempts: waited in bucket ' || counted.waited, counted.attempts),
        ('attempts: ran in bucket ' || counted.ran, counted.attempts),
        (CASE WHEN counted.waited IS NOT NULL THEN 'attempts: waiting_microseconds' END, counted.waiting_microseconds),
        (CASE WHEN counted.ran IS NOT NULL THEN 'attempts: processing_microseconds' END, counted.processing_microseconds)
    ) AS measure (what, amount)
    CROSS JOIN LATERAL stat_spans(counted.span_at) AS span
    WHERE measure.what IS NOT NULL AND span.resolution <> 'all_time'
    UNION ALL
    SELECT 'all_time', '1970-01-01T00:00:00Z', in_rollups.job_type, in_rollups.what, in_rollups.amount
    FROM in_rollups
    WHERE in_rollups.resolution = 'day'
),
compared AS (
    SELECT
        both_sides.resolution, both_sides.at, both_sides.job_type, both_sides.what,
        sum(both_sides.in_rollups) AS in_rollups, sum(both_sides.in_tables) AS in_tables
    FROM (
        SELECT resolution, at, job_type, what, amount AS in_rollups, 0 AS in_tables FROM in_rollups
        UNION ALL
        SELECT resolution, at, job_type, what, 0, amount FROM in_tables
    ) AS both_sides
    GROUP BY both_sides.resolution, both_sides.at, both_sides.job_type, both_sides.what
    HAVING sum(both_sides.in_rollups) <> sum(both_sides.in_tables)
),
cleaned_up AS (
    SELECT resolution, at, job_type FROM job_stats_current GROUP BY resolution, at, job_type HAVING sum(attempts_removed) <> 0
)
SELECT
    compared.resolution::text AS resolution, compared.at AS begins_at, compared.job_type, compared.what,
    compared.in_rollups::bigint AS in_rollups, compared.in_tables::bigint AS in_tables
FROM compared
WHERE compared.at >= stats_kept_from(compared.resolution)
    AND (compared.resolution = 'all_time' OR compared.at >= :'since'::timestamptz)
    AND NOT (
        compared.what LIKE 'attempts: %'
        AND compared.resolution <> 'all_time'
        AND EXISTS (
            SELECT FROM cleaned_up
            WHERE (cleaned_up.resolution, cleaned_up.at, cleaned_up.job_type) = (compared.resolution, compared.at, compared.job_type)
        )
    )
ORDER BY compared.resolution, compared.at, compared.job_type, compared.what;
