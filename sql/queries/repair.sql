-- What should never be needed: deliveries and claims that vanished from outside, by hand or by another program.

-- name: repair_deliveries
-- Look at a page of at most 10,000 jobs, newest first. Those that wait and whose delivery is gone get a new one; those that run and that no
-- claim leads to get a claim. Any number of workers may do it at once.
-- A claim deletes deliveries, starts jobs and notes them in one transaction: whoever sees a job pending sees its delivery, and whoever
-- sees it running sees its claim, or they are really gone. A job that gets another delivery meanwhile has two, of which the older does
-- nothing.
-- params:  before_id: the last job of the page before
-- returns: one row: repaired; id of the last job of the page, null on a page that is not full
-- locks:   the job rows without a delivery, SKIP LOCKED: one that somebody starts, cancels or retries needs no repair
-- index:   jobs_pkey, procrastinate_jobs_pkey, claims_of_worker_idx
-- limit:   10 s
-- test:    tests/store/test_repair.py
WITH page AS MATERIALIZED (
    SELECT jobs.id, jobs.status, jobs.delivery_id, jobs.worker_id
    FROM jobs
    WHERE jobs.id < :before_id::uuid
    ORDER BY jobs.id DESC
    LIMIT 10000
),
gone AS (
    SELECT page.id FROM page
    WHERE page.status = 'pending'
        AND page.delivery_id IS NOT NULL
        -- A sequence that was reset gives the numbers of lost deliveries to others.
        AND page.id::text IS DISTINCT FROM (
            SELECT delivery.args ->> 'job_id' FROM procrastinate_jobs AS delivery
            -- Not an index of those that are 'todo', read as a whole: see the head of dispatch.sql.
            WHERE delivery.id = page.delivery_id AND coalesce(delivery.status = 'todo', false)
        )
),
target AS (
    SELECT jobs.id, jobs.job_type, jobs.queue, jobs.priority, jobs.owner_id
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT gone.id FROM gone))
        AND jobs.status = 'pending'
        AND jobs.delivery_id IS NOT NULL
    ORDER BY jobs.id
    FOR UPDATE SKIP LOCKED
),
delivery AS (
    SELECT delivered.job_id, delivered.delivery_id
    FROM (
        SELECT
            array_agg(target.id) AS ids, array_agg(target.job_type::text) AS types, array_agg(target.queue::text) AS queues,
            array_agg(target.priority::integer) AS priorities, array_agg(target.owner_id) AS owners
        FROM target
    ) AS given
    CROSS JOIN LATERAL deliver_jobs(given.ids, given.types, given.queues, given.priorities, given.owners) AS delivered
),
repaired AS (
    UPDATE jobs
    SET delivery_id = delivery.delivery_id
    FROM delivery
    WHERE jobs.id = delivery.job_id
    RETURNING jobs.id
),
claimed AS (
    INSERT INTO claims (worker_id, job_ids)
    SELECT page.worker_id, ARRAY[page.id]
    FROM page
    WHERE page.status = 'running'
        AND NOT EXISTS (SELECT FROM claims WHERE claims.worker_id = page.worker_id AND page.id = ANY(claims.job_ids))
    RETURNING claims.id
)
SELECT
    (SELECT count(*) FROM repaired) + (SELECT count(*) FROM claimed) AS repaired,
    (SELECT page.id FROM page ORDER BY page.id DESC OFFSET 9999 LIMIT 1) AS id;
