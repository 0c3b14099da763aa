-- Attempts that had to be made again, per day (UTC) and job type: failed ones, those lost with their worker, given back, made void.
-- param: days integer = 14
\if :{?days} \else \set days 14 \endif
SELECT
    at AS day,
    job_type,
    completed + failed + cancelled AS jobs_finished,
    attempts_completed + attempts_failed + attempts_cancelled + attempts_released + attempts_worker_lost + attempts_superseded AS attempts,
    attempts_failed,
    attempts_worker_lost,
    attempts_released,
    attempts_superseded
FROM reporting.job_stats_by_day_v1
WHERE at > now() - make_interval(days => :days::integer)
    AND attempts_failed + attempts_worker_lost + attempts_released + attempts_superseded > 0
ORDER BY at, job_type;
