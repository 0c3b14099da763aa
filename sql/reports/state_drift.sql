-- Jobs that contradict what must always hold. Every row is a bug or somebody's hand in the tables; none is the right answer.
-- It reads the tables themselves, which is for their owner alone.
-- param: grace_seconds integer = 60
\if :{?grace_seconds} \else \set grace_seconds 60 \endif
SELECT jobs.id AS job_id, 'pending, but its delivery is gone' AS drift, jobs.updated_at AS since
FROM jobs
WHERE jobs.status = 'pending'
    AND jobs.delivery_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE procrastinate_jobs.id = jobs.delivery_id)
    AND jobs.updated_at < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT jobs.id, 'running, but its worker has no lease', jobs.updated_at
FROM jobs
LEFT JOIN workers ON jobs.worker_id = workers.id
WHERE jobs.status = 'running'
    AND coalesce(workers.lease_until, jobs.updated_at) < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT jobs.id, 'running, but no claim leads to it', jobs.started_at
FROM jobs
WHERE jobs.status = 'running'
    AND NOT EXISTS (SELECT FROM claims WHERE claims.worker_id = jobs.worker_id AND jobs.id = ANY(claims.job_ids))
UNION ALL
SELECT jobs.id, 'its time has come, and nobody promotes it', jobs.deliver_at
FROM jobs
WHERE jobs.deliver_at < now() - make_interval(secs => :grace_seconds::integer)
UNION ALL
SELECT jobs.id, 'finished, but fewer attempts are on record than were started', jobs.completed_at
FROM jobs
WHERE jobs.completed_at IS NOT NULL
    AND jobs.attempt <> (SELECT count(*) FROM job_attempts WHERE job_attempts.job_id = jobs.id)
ORDER BY since, job_id;
