-- Jobs that contradict what must always hold. Every row is a bug or somebody's hand in the tables; none is the right answer.
-- It reads the tables themselves, which is for their owner alone: all jobs that were submitted since then.
-- param: since timestamptz = 2000-01-01T00:00:00Z
-- param: grace_seconds integer = 60
\if :{?since} \else \set since 2000-01-01T00:00:00Z \endif
\if :{?grace_seconds} \else \set grace_seconds 60 \endif
WITH unfinished AS MATERIALIZED (
    SELECT jobs.id, jobs.status, jobs.delivery_id, jobs.worker_id, jobs.started_at, jobs.updated_at
    FROM jobs
    WHERE jobs.completed_at IS NULL AND jobs.created_at >= :'since'::timestamptz
),
recorded AS (
    SELECT job_attempts.job_id, count(*) AS attempts
    FROM job_attempts
    WHERE job_attempts.ended_at >= :'since'::timestamptz
    GROUP BY job_attempts.job_id
),
-- A policy may have removed any attempt of a completed or cancelled job that ended by then.
removed AS (
    SELECT coalesce(
        max(at) FILTER (WHERE resolution = 'hour') + interval '1 hour', max(at) FILTER (WHERE resolution = 'day') + interval '1 day', '-infinity'
    ) AS ended_by
    FROM job_stats_current
    WHERE resolution IN ('hour', 'day') AND attempts_removed > 0
)
SELECT unfinished.id AS job_id, 'pending, but its delivery is gone' AS drift, unfinished.updated_at AS since
FROM unfinished
WHERE unfinished.status = 'pending'
    AND unfinished.delivery_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE procrastinate_jobs.id = unfinished.delivery_id)
    AND unfinished.updated_at < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT unfinished.id, 'running, but its worker has no lease', unfinished.updated_at
FROM unfinished
LEFT JOIN workers ON unfinished.worker_id = workers.id
WHERE unfinished.status = 'running'
    AND coalesce(workers.lease_until, unfinished.updated_at) < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT unfinished.id, 'running, but no claim leads to it', unfinished.started_at
FROM unfinished
WHERE unfinished.status = 'running'
    AND NOT EXISTS (SELECT FROM claims WHERE claims.worker_id = unfinished.worker_id AND unfinished.id = ANY(claims.job_ids))
UNION ALL
SELECT jobs.id, 'its time has come, and nobody promotes it', jobs.deliver_at
FROM jobs
WHERE jobs.deliver_at < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT jobs.id, 'finished, but fewer attempts are on record than were started', jobs.completed_at
FROM jobs
LEFT JOIN recorded ON jobs.id = recorded.job_id
WHERE jobs.completed_at IS NOT NULL
    AND jobs.created_at >= :'since'::timestamptz
    AND jobs.attempt <> coalesce(recorded.attempts, 0)
    AND (jobs.status = 'failed' OR jobs.created_at >= (SELECT removed.ended_by FROM removed))
ORDER BY since, job_id;
