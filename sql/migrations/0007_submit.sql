-- Where a new job stands in the queue, for the submit that stores many at once.
-- locks: new objects only.

-- The look-up is a function for its SET: a plan that was made while the queue was short, and kept, would read and sort all that waits.
CREATE FUNCTION deliveries_before(queue text, priority integer) RETURNS bigint LANGUAGE sql STABLE SET enable_sort = off AS $$
    SELECT count(*)
    FROM (
        SELECT FROM procrastinate_jobs AS earlier
        WHERE earlier.status = 'todo' AND earlier.queue_name = deliveries_before.queue AND earlier.priority >= deliveries_before.priority
        ORDER BY earlier.priority DESC, earlier.id
        LIMIT 999
    ) AS walked
$$;

COMMENT ON FUNCTION deliveries_before IS 'How many deliveries of a queue come before a new one of this priority, at most 999';
