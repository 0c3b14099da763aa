-- Where a job stands in the queue.
-- locks: new objects only.

-- A function for its SET: a plan that was made while the queue was short, and kept, would read and sort all that waits.
CREATE FUNCTION deliveries_before(queue text, priority integer, delivery_id bigint) RETURNS bigint
LANGUAGE sql STABLE SET enable_sort = off AS $$
    SELECT count(*)
    FROM (
        SELECT FROM procrastinate_jobs AS earlier
        WHERE earlier.status = 'todo'
            AND earlier.queue_name = deliveries_before.queue
            AND (-earlier.priority, earlier.id) < (-deliveries_before.priority, deliveries_before.delivery_id)
        ORDER BY -earlier.priority, earlier.id
        LIMIT 999
    ) AS walked
$$;

COMMENT ON FUNCTION deliveries_before IS 'How many deliveries of a queue come before one of this priority and id, at most 999';
