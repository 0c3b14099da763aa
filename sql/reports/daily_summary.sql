-- One line per day (UTC) over all job types: finished jobs, success, time. Kept for ever, clean-up or not.
-- param: days integer = 30
\if :{?days} \else \set days 30 \endif
SELECT
    at AS day,
    sum(completed)::bigint AS completed,
    sum(failed)::bigint AS failed,
    sum(cancelled)::bigint AS cancelled,
    round(100 * sum(completed) / nullif(sum(completed + failed), 0), 2) AS percent_successful,
    round((sum(processing_seconds_total) / 3600)::numeric, 3) AS processing_hours,
    round((sum(processing_seconds_total) / nullif(sum(attempts_completed + attempts_failed), 0)::float8)::numeric, 3) AS average_seconds,
    sum(jobs_removed)::bigint AS cleaned_up
FROM reporting.job_stats_by_day_v1
WHERE at > now() - make_interval(days => :days::integer)
GROUP BY at
ORDER BY at;
