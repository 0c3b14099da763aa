-- What should never be needed: deliveries that vanished from outside, by hand or by another program.

-- name: repair_deliveries
-- Look at a page of at most 10,000 pending jobs, and give those whose delivery is gone a new one. Any number of workers may do it at once.
-- A claim deletes a delivery and starts its job in one transaction: whoever sees the job pending sees its delivery, or it is really gone.
-- A job that gets another delivery meanwhile has two then, of which the older does nothing.
-- params:  after_type, after_due_at, after_id: the last job of the page before
-- returns: one row: repaired; job_type, due_at, id of the last job of the page, null on a page that is not full
-- locks:   the job rows without a delivery, SKIP LOCKED: one that somebody starts, cancels or retries needs no repair
-- index:   jobs_pending_idx, procrastinate_jobs_pkey
-- limit:   10 s
-- test:    tests/store/test_repair.py
WITH page AS (
    SELECT jobs.job_type, jobs.due_at, jobs.id, jobs.delivery_id
    FROM jobs
    WHERE jobs.status = 'pending'
        AND (jobs.job_type, jobs.due_at, jobs.id) > (:after_type::text, :after_due_at::timestamptz, :after_id::uuid)
    ORDER BY jobs.job_type, jobs.due_at, jobs.id
    LIMIT 10000
),
gone AS (
    SELECT page.id FROM page
    WHERE page.delivery_id IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM procrastinate_jobs AS delivery
            WHERE delivery.id = page.delivery_id
                AND delivery.status = 'todo'
                -- A sequence that was reset gives the numbers of lost deliveries to others.
                AND delivery.args ->> 'job_id' = page.id::text
        )
),
target AS (
    SELECT jobs.id, jobs.queue, jobs.priority
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT gone.id FROM gone))
        AND jobs.status = 'pending'
        AND jobs.delivery_id IS NOT NULL
    ORDER BY jobs.id
    FOR UPDATE SKIP LOCKED
),
delivery AS (
    SELECT target.id AS job_id, deliver_job(target.id, target.queue, target.priority) AS id FROM target
),
repaired AS (
    UPDATE jobs
    SET delivery_id = delivery.id
    FROM delivery
    WHERE jobs.id = delivery.job_id AND jobs.id = ANY(ARRAY(SELECT target.id FROM target))
    RETURNING jobs.id
)
SELECT (SELECT count(*) FROM repaired) AS repaired, last.job_type, last.due_at, last.id
FROM (SELECT 1) AS one
LEFT JOIN (
    SELECT page.job_type, page.due_at, page.id
    FROM page
    ORDER BY page.job_type, page.due_at, page.id
    OFFSET 9999
    LIMIT 1
) AS last ON true;
