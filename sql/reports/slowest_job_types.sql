-- Processing and waiting time by job type, the slowest first. Seconds.
-- param: since timestamptz = 2000-01-01T00:00:00Z
-- param: min_attempts integer = 1
SELECT
    jobs.job_type,
    count(*) AS attempts,
    round(avg(extract(EPOCH FROM job_attempts.ended_at - job_attempts.started_at)), 3) AS average_seconds,
    round((percentile_cont(0.95) WITHIN GROUP (
        ORDER BY extract(EPOCH FROM job_attempts.ended_at - job_attempts.started_at)
    ))::numeric, 3) AS p95_seconds,
    round(avg(extract(EPOCH FROM job_attempts.started_at - job_attempts.due_at)), 3) AS average_waiting_seconds
FROM job_attempts
INNER JOIN jobs ON job_attempts.job_id = jobs.id
WHERE job_attempts.outcome IN ('completed', 'failed') AND job_attempts.ended_at >= :since::timestamptz
GROUP BY jobs.job_type
HAVING count(*) >= :min_attempts::integer
ORDER BY p95_seconds DESC, jobs.job_type;
