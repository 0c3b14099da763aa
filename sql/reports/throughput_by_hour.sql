-- Jobs finished per hour and job type.
-- param: hours integer = 24
SELECT
    date_trunc('hour', completed_at) AS hour,
    job_type,
    count(*) FILTER (WHERE status = 'completed') AS completed,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled
FROM jobs
WHERE completed_at > now() - make_interval(hours => :hours::integer)
GROUP BY 1, 2
ORDER BY 1, 2;
