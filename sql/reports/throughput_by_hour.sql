-- Jobs finished per hour and job type.
-- param: hours integer = 24
\if :{?hours} \else \set hours 24 \endif
SELECT
    at AS hour,
    job_type,
    completed,
    failed,
    cancelled
FROM reporting.job_stats_by_hour_v1
WHERE at > now() - make_interval(hours => :hours::integer)
    AND completed + failed + cancelled > 0
ORDER BY at, job_type;
