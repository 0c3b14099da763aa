-- How long attempts had waited when they started, per hour over all job types. Seconds; percentiles are within 5 %.
-- param: hours integer = 24
\if :{?hours} \else \set hours 24 \endif
WITH counted AS (
    SELECT
        at,
        sum(attempts_completed + attempts_failed) AS attempts,
        sum(waiting_seconds_total) AS waiting_seconds
    FROM reporting.job_stats_by_hour_v1
    WHERE at > now() - make_interval(hours => :hours::integer)
    GROUP BY at
),
lengths AS (
    SELECT
        at,
        seconds,
        sum(sum(waiting_attempts)) OVER (PARTITION BY at ORDER BY seconds) AS attempts_so_far,
        sum(sum(waiting_attempts)) OVER (PARTITION BY at) AS attempts
    FROM reporting.job_times_by_hour_v1
    WHERE at > now() - make_interval(hours => :hours::integer)
    GROUP BY at, seconds
),
percentiles AS (
    SELECT
        at,
        min(seconds) FILTER (WHERE attempts_so_far >= 0.50 * attempts AND attempts > 0) AS p50,
        min(seconds) FILTER (WHERE attempts_so_far >= 0.95 * attempts AND attempts > 0) AS p95,
        min(seconds) FILTER (WHERE attempts_so_far >= 0.99 * attempts AND attempts > 0) AS p99
    FROM lengths
    GROUP BY at
)
SELECT
    counted.at AS hour,
    counted.attempts::bigint AS attempts,
    round((counted.waiting_seconds / counted.attempts::float8)::numeric, 3) AS average_seconds,
    round(percentiles.p50::numeric, 3) AS p50_seconds,
    round(percentiles.p95::numeric, 3) AS p95_seconds,
    round(percentiles.p99::numeric, 3) AS p99_seconds
FROM counted
LEFT JOIN percentiles ON counted.at = percentiles.at
WHERE counted.attempts > 0
ORDER BY counted.at;
