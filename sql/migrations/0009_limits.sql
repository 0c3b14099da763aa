-- Limits per user: deliveries that say whose they are, and the look that decides what a submit may store (docs/decisions/0013-limits.md).
-- locks: ACCESS EXCLUSIVE on procrastinate_jobs, whose rows are all written once: some seconds per million of them. SHARE on jobs for
--        the new index: a second or two per million rows in which nothing is submitted, claimed or finished.
-- An older version goes on working; deliveries it makes say nothing of their owner and are counted for nobody.

ALTER TABLE procrastinate_jobs ADD COLUMN owner_id uuid;
COMMENT ON COLUMN procrastinate_jobs.owner_id IS 'jobs.owner_id of its job: what a user has waiting is counted by it';
UPDATE procrastinate_jobs SET owner_id = jobs.owner_id FROM jobs WHERE jobs.id = (procrastinate_jobs.args ->> 'job_id')::uuid;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_of_owner_idx ON procrastinate_jobs (owner_id);
-- Jobs that wait for their time have no delivery. A job that is due at once never enters this index.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_scheduled_of_owner_idx ON jobs (owner_id) WHERE deliver_at IS NOT NULL;

-- squawk-ignore ban-drop-function
DROP FUNCTION deliver_jobs;
-- The only place that makes deliveries. They join the caller's transaction; workers are notified, once per queue, when it commits.
CREATE FUNCTION deliver_jobs(job_ids uuid [], job_types text [], queues text [], priorities integer [], owner_ids uuid [] DEFAULT NULL)
RETURNS TABLE (job_id uuid, delivery_id bigint) LANGUAGE sql VOLATILE AS $$
    SELECT pg_notify('procrastinate_queue_v1#' || notified.queue, '') FROM (SELECT DISTINCT unnest(queues) AS queue) AS notified;
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, owner_id)
    SELECT given.queue, given.job_type, given.priority, jsonb_build_object('job_id', given.id), given.owner
    FROM unnest(job_ids, job_types, queues, priorities, owner_ids) AS given (id, job_type, queue, priority, owner)
    RETURNING (args ->> 'job_id')::uuid, id;
$$;

COMMENT ON FUNCTION deliver_jobs IS 'Queue one delivery of each job; which job got which';

-- squawk-ignore ban-drop-function
DROP FUNCTION deliver_job;
CREATE FUNCTION deliver_job(job_id uuid, job_type text, queue text, priority integer, owner_id uuid DEFAULT NULL)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT made.delivery_id
    FROM deliver_jobs(ARRAY[job_id], ARRAY[job_type], ARRAY[queue], ARRAY[priority], ARRAY[owner_id]) AS made
$$;

COMMENT ON FUNCTION deliver_job IS 'Queue one delivery of a job and return its id';

-- A pending job has a delivery or the time it will get one, never both (jobs_delivery_check).
CREATE FUNCTION pending_jobs_of(user_id uuid, at_most integer) RETURNS TABLE (jobs_pending bigint) LANGUAGE sql STABLE AS $$
    SELECT count(*)
    FROM (
        SELECT FROM procrastinate_jobs AS delivery WHERE delivery.owner_id = user_id
        UNION ALL
        SELECT FROM jobs AS scheduled WHERE scheduled.owner_id = user_id AND scheduled.deliver_at IS NOT NULL
        LIMIT at_most
    ) AS counted
$$;

COMMENT ON FUNCTION pending_jobs_of IS 'How many pending jobs a user has, counted up to so many';

CREATE FUNCTION submits_of_last_minute(user_id uuid, at_most integer) RETURNS TABLE (submits bigint, oldest_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT count(*), min(counted.created_at)
    FROM (
        SELECT recent.created_at FROM jobs AS recent
        WHERE recent.owner_id = user_id AND recent.created_at > now() - interval '1 minute'
        ORDER BY recent.created_at DESC, recent.id DESC
        LIMIT at_most
    ) AS counted
$$;

COMMENT ON FUNCTION submits_of_last_minute IS 'How many jobs a user has submitted within the last 60 s, counted up to so many, newest first, and when the oldest of these was';

-- Which of the given submits their owners' limits refuse, and in how many seconds it is worth trying again; 0 is no limit. Those with a
-- key that stands for a job already are not counted, and of several with one key the first one stands for all.
-- It holds a lock per owner until the transaction ends. PL/pgSQL, because each of its statements looks anew: what the lock was waited
-- for is seen by the second one, and would not be by the statement that calls this, nor by one function in SQL.
-- SET: a plan that was made while the tables were short, and kept, would read all of them.
-- test: tests/store/test_limits.py
CREATE FUNCTION refused_submits(owner_ids uuid [], keys text [], max_per_minute integer, max_pending integer)
RETURNS TABLE (place bigint, code text, retry_after_seconds integer) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    IF max_per_minute = 0 AND max_pending = 0 THEN
        RETURN;
    END IF;
    -- In one order, so that two calls with the same owners can't wait for each other.
    PERFORM pg_advisory_xact_lock(720364186, owners.hash)
    FROM (SELECT DISTINCT hashtext(owner_id::text) AS hash FROM unnest(owner_ids) AS owner_id ORDER BY hash) AS owners;
    RETURN QUERY
    WITH counted AS (
        SELECT
            given.place, given.owner_id,
            min(given.place) OVER (PARTITION BY given.owner_id, coalesce(given.key, ' ' || given.place)) AS first_place
        FROM unnest(owner_ids, keys) WITH ORDINALITY AS given (owner_id, key, place)
        WHERE (
            (SELECT known.expires_at FROM idempotency_keys AS known WHERE known.owner_id = given.owner_id AND known.key = given.key) > now()
        ) IS NOT TRUE
    ),
    ranked AS (
        SELECT counted.place, counted.owner_id, dense_rank() OVER (PARTITION BY counted.owner_id ORDER BY counted.first_place) AS nth
        FROM counted
    ),
    -- Once for each owner, not for each of their submits.
    room AS MATERIALIZED (
        SELECT
            owners.owner_id,
            nullif(max_per_minute, 0) - recent.submits AS this_minute,
            nullif(max_pending, 0) - waiting.jobs_pending AS pending,
            greatest(1, ceil(extract(EPOCH FROM coalesce(recent.oldest_at, now()) + interval '1 minute' - now())))::integer AS seconds
        FROM (SELECT DISTINCT ranked.owner_id FROM ranked) AS owners
        CROSS JOIN LATERAL submits_of_last_minute(owners.owner_id, max_per_minute) AS recent
        CROSS JOIN LATERAL pending_jobs_of(owners.owner_id, max_pending) AS waiting
    )
    SELECT
        ranked.place,
        CASE WHEN ranked.nth > room.this_minute THEN 'submit_rate_exceeded' ELSE 'too_many_pending_jobs' END,
        -- When a waiting job will start nobody knows: 10 s is a guess.
        CASE WHEN ranked.nth > room.this_minute THEN room.seconds ELSE 10 END
    FROM ranked INNER JOIN room ON ranked.owner_id = room.owner_id
    WHERE ranked.nth > room.this_minute OR ranked.nth > room.pending;
END;
$$;

COMMENT ON FUNCTION refused_submits IS 'Which submits the limits of their owners refuse; holds a lock per owner until the transaction ends';
