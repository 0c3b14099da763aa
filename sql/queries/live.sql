-- What those who wait for news of jobs look at, again and again, and the jobs they read then.

-- name: changed_jobs
-- Which jobs have another version than the given one, for everybody of one process who waits.
-- params:  job_ids; versions, one for each: null for a job that is not known to be there
-- returns: job_id, version, is_finished of those that have another one; version is null if there is no such job any more
-- index:   jobs_pkey
-- test:    tests/contract/test_plans.py
SELECT given.job_id, jobs.version, jobs.status IN ('completed', 'failed', 'cancelled') AS is_finished
FROM unnest(:job_ids::uuid [], :versions::bigint []) AS given (job_id, version)
LEFT JOIN jobs ON given.job_id = jobs.id
WHERE jobs.version IS DISTINCT FROM given.version;

-- name: newest_marks_of_owners
-- Which versions there are of each user's 1,000 newest jobs.
-- params:  owner_ids
-- returns: owner_id, job_id, version, is_finished
-- index:   jobs_newest_of_owner_idx
-- test:    tests/contract/test_plans.py
SELECT given.owner_id, newest.job_id, newest.version, newest.is_finished
FROM unnest(:owner_ids::uuid []) AS given (owner_id)
CROSS JOIN LATERAL (
    SELECT jobs.id AS job_id, jobs.version, jobs.status IN ('completed', 'failed', 'cancelled') AS is_finished
    FROM jobs
    WHERE jobs.owner_id = given.owner_id
    ORDER BY jobs.created_at DESC, jobs.id DESC
    LIMIT 1000
) AS newest;

-- name: newest_job_of_owners
-- Which is each user's newest job, for the open pages of theirs.
-- params:  owner_ids
-- returns: owner_id, job_id, version, is_finished; no row for one who has no job
-- index:   jobs_newest_of_owner_idx
-- test:    tests/contract/test_plans.py
SELECT given.owner_id, newest.job_id, newest.version, newest.is_finished
FROM unnest(:owner_ids::uuid []) AS given (owner_id)
CROSS JOIN LATERAL (
    SELECT jobs.id AS job_id, jobs.version, jobs.status IN ('completed', 'failed', 'cancelled') AS is_finished
    FROM jobs
    WHERE jobs.owner_id = given.owner_id
    ORDER BY jobs.created_at DESC, jobs.id DESC
    LIMIT 1
) AS newest;

-- name: get_jobs
-- Jobs for several callers at once, each only what it may see.
-- params:  job_ids; owner_ids, one for each: null for anybody's
-- returns: ordinal (from 1, where in the arrays) and the job; no row where there is none or it is somebody else's
-- index:   jobs_pkey
SELECT given.ordinal, jobs.*
FROM unnest(:job_ids::uuid [], :owner_ids::uuid []) WITH ORDINALITY AS given (job_id, owner_id, ordinal)
INNER JOIN jobs ON given.job_id = jobs.id
WHERE given.owner_id IS NULL OR jobs.owner_id = given.owner_id;
