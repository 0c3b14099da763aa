-- Processing and waiting time by job type, the slowest first. Seconds; of whole days (UTC), from that of `since` on.
-- param: since timestamptz = 2000-01-01T00:00:00Z
-- param: min_attempts integer = 1
\if :{?since} \else \set since 2000-01-01T00:00:00Z \endif
\if :{?min_attempts} \else \set min_attempts 1 \endif
WITH counted AS (
    SELECT
        job_type,
        sum(attempts_completed + attempts_failed) AS attempts,
        sum(processing_seconds_total) AS processing_seconds,
        sum(waiting_seconds_total) AS waiting_seconds
    FROM reporting.job_stats_by_day_v1
    WHERE at >= date_trunc('day', :'since'::timestamptz, 'UTC')
    GROUP BY job_type
),
lengths AS (
    SELECT
        job_type,
        seconds,
        sum(sum(processing_attempts)) OVER (PARTITION BY job_type ORDER BY seconds) AS attempts_so_far,
        sum(sum(processing_attempts)) OVER (PARTITION BY job_type) AS attempts
    FROM reporting.job_times_by_day_v1
    WHERE at >= date_trunc('day', :'since'::timestamptz, 'UTC')
    GROUP BY job_type, seconds
),
percentiles AS (
    SELECT
        job_type,
        min(seconds) FILTER (WHERE attempts_so_far >= 0.50 * attempts AND attempts > 0) AS p50,
        min(seconds) FILTER (WHERE attempts_so_far >= 0.95 * attempts AND attempts > 0) AS p95
    FROM lengths
    GROUP BY job_type
)
SELECT
    counted.job_type,
    counted.attempts::bigint AS attempts,
    round((counted.processing_seconds / counted.attempts::float8)::numeric, 3) AS average_seconds,
    round(percentiles.p50::numeric, 3) AS p50_seconds,
    round(percentiles.p95::numeric, 3) AS p95_seconds,
    round((counted.waiting_seconds / counted.attempts::float8)::numeric, 3) AS average_waiting_seconds
FROM counted
LEFT JOIN percentiles ON counted.job_type = percentiles.job_type
WHERE counted.attempts >= greatest(1, :min_attempts::integer)
ORDER BY p95_seconds DESC, counted.job_type;
