-- What seems to be stuck now: jobs that run for long, that were asked to stop and don't, whose worker is silent; types whose jobs wait.
-- param: running_minutes integer = 60
-- param: waiting_minutes integer = 10
-- param: stopping_seconds integer = 30
\if :{?running_minutes} \else \set running_minutes 60 \endif
\if :{?waiting_minutes} \else \set waiting_minutes 10 \endif
\if :{?stopping_seconds} \else \set stopping_seconds 30 \endif
WITH running AS MATERIALIZED (
    SELECT job_id, owner_id, job_type, worker_id, started_at, cancel_requested_at, lease_seconds
    FROM reporting.running_now_v1
),
found AS (
    SELECT 'runs for long' AS finding, job_type, started_at AS since, job_id, owner_id, worker_id
    FROM running
    WHERE started_at < now() - make_interval(mins => :running_minutes::integer)
    UNION ALL
    SELECT 'asked to stop, and runs', job_type, cancel_requested_at, job_id, owner_id, worker_id
    FROM running
    WHERE cancel_requested_at < now() - make_interval(secs => :stopping_seconds::integer)
    UNION ALL
    SELECT 'its worker is silent', job_type, now() + make_interval(secs => coalesce(lease_seconds, 0)), job_id, owner_id, worker_id
    FROM running
    WHERE coalesce(lease_seconds, 0) <= 0
    UNION ALL
    SELECT 'due, and nobody starts them: ' || due, job_type, oldest_due_at, NULL, NULL, NULL
    FROM reporting.queue_now_v1
    WHERE oldest_due_at < now() - make_interval(mins => :waiting_minutes::integer)
)
SELECT
    finding,
    job_type,
    since,
    round(extract(EPOCH FROM now() - since)::numeric) AS seconds,
    job_id,
    owner_id,
    worker_id
FROM found
ORDER BY since, finding, job_id;
