-- A limit of running jobs per user: deliveries of those who are at it are held, out of the claim's way (docs/decisions/0015).
-- locks: ACCESS EXCLUSIVE on procrastinate_jobs for an instant, then SHARE for the new indexes: a second or two per million deliveries.
-- Workers of an older version must be stopped before: their claim doesn't find its index, and starts what is held.

ALTER TABLE procrastinate_jobs ADD COLUMN held boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN procrastinate_jobs.held IS 'Its owner has as many jobs running as they may: no claim looks at it until unhold_deliveries() lets it go';

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX deliveries_best_idx;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_best_idx ON procrastinate_jobs ((-priority), id) WHERE status = 'todo' AND NOT held;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_held_idx ON procrastinate_jobs (owner_id, (-priority), id) WHERE held;

CREATE OR REPLACE FUNCTION deliveries_before(queue text, priority integer, delivery_id bigint) RETURNS bigint
LANGUAGE sql STABLE SET enable_sort = off AS $$
    SELECT count(*)
    FROM (
        SELECT FROM procrastinate_jobs AS earlier
        WHERE earlier.status = 'todo'
            AND NOT earlier.held
            AND earlier.queue_name = deliveries_before.queue
            AND (-earlier.priority, earlier.id) < (-deliveries_before.priority, deliveries_before.delivery_id)
        ORDER BY -earlier.priority, earlier.id
        LIMIT 999
    ) AS walked
$$;

CREATE FUNCTION running_jobs_of(user_ids uuid []) RETURNS TABLE (owner_id uuid, jobs_running bigint) LANGUAGE sql STABLE AS $$
    SELECT jobs.owner_id, count(*)
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims))
        AND coalesce(jobs.status = 'running', false)
        AND jobs.owner_id = ANY(user_ids)
    GROUP BY jobs.owner_id
$$;

COMMENT ON FUNCTION running_jobs_of IS 'How many jobs each of these users has running; no row for none';

-- Which of the given deliveries, best first and locked by the caller, may start now. The others are held, and with them what their
-- owners have among the next thousand, so that a long run of one user's jobs is out of the way in a few claims.
-- It holds a lock per owner until the transaction ends: claims that may start jobs of one user are decided one after the other. PL/pgSQL,
-- because each of its statements looks anew: what the lock was waited for is counted, and would not be with the snapshot of the claim.
-- Only the claims of this worker are tidied here, since what is left of them is what the count costs. Rows of claims are never waited for.
-- test: tests/store/test_running_limit.py
CREATE FUNCTION startable_deliveries(claiming_worker_id uuid, delivery_ids bigint [], owner_ids uuid [], max_running integer)
RETURNS TABLE (delivery_id bigint) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    too_many bigint [];
    full_owners uuid [];
    last_rank integer;
    last_id bigint;
BEGIN
    IF delivery_ids IS NULL THEN
        RETURN;
    END IF;
    -- In one order, so that two claims with the same owners can't wait for each other.
    PERFORM pg_advisory_xact_lock(720364187, owners.hash)
    FROM (SELECT DISTINCT hashtext(owner_id::text) AS hash FROM unnest(owner_ids) AS owner_id ORDER BY hash) AS owners;
    DELETE FROM claims
    WHERE claims.id = ANY(ARRAY(
        SELECT settled.id FROM claims AS settled
        WHERE settled.worker_id = claiming_worker_id
            AND NOT EXISTS (
                SELECT FROM jobs
                WHERE jobs.id = ANY(settled.job_ids)
                    AND coalesce(jobs.status = 'running', false)
                    AND jobs.worker_id = claiming_worker_id
            )
        ORDER BY settled.id
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ));
    SELECT array_agg(ranked.delivery_id), array_agg(DISTINCT ranked.owner_id)
    INTO too_many, full_owners
    FROM (
        SELECT
            given.delivery_id, given.owner_id,
            row_number() OVER (PARTITION BY given.owner_id ORDER BY given.place) AS nth
        FROM unnest(delivery_ids, owner_ids) WITH ORDINALITY AS given (delivery_id, owner_id, place)
    ) AS ranked
    LEFT JOIN running_jobs_of(owner_ids) AS running ON ranked.owner_id = running.owner_id
    WHERE ranked.nth + coalesce(running.jobs_running, 0) > max_running;
    IF too_many IS NOT NULL THEN
        UPDATE procrastinate_jobs
        SET held = true, owner_id = given.owner_id
        FROM unnest(delivery_ids, owner_ids) AS given (delivery_id, owner_id)
        WHERE procrastinate_jobs.id = given.delivery_id AND given.delivery_id = ANY(too_many);
        SELECT -delivery.priority, delivery.id INTO last_rank, last_id
        FROM procrastinate_jobs AS delivery WHERE delivery.id = delivery_ids[cardinality(delivery_ids)];
        UPDATE procrastinate_jobs SET held = true
        WHERE procrastinate_jobs.id = ANY(ARRAY(
            SELECT behind.id FROM procrastinate_jobs AS behind
            WHERE behind.id = ANY(ARRAY(
                SELECT next_ones.id
                FROM (
                    SELECT delivery.id, delivery.owner_id FROM procrastinate_jobs AS delivery
                    WHERE delivery.status = 'todo' AND NOT delivery.held
                        AND (-delivery.priority, delivery.id) > (last_rank, last_id)
                    ORDER BY -delivery.priority, delivery.id
                    LIMIT 1000
                ) AS next_ones
                WHERE next_ones.owner_id = ANY(full_owners)
            ))
            AND NOT behind.held
            FOR UPDATE SKIP LOCKED
        ));
    END IF;
    RETURN QUERY SELECT given.id FROM unnest(delivery_ids) AS given (id) WHERE given.id <> ALL(coalesce(too_many, '{}'));
END;
$$;

COMMENT ON FUNCTION startable_deliveries IS 'Which deliveries a limit of running jobs lets start; holds the others, and a lock per owner until the transaction ends';

-- Let go, for each owner, as many of the best held deliveries as they may start, at most 1,000 in all; with no limit, any.
-- It takes no lock of owners: what it lets go too many the claim holds again.
CREATE FUNCTION unhold_deliveries(max_running integer)
RETURNS TABLE (let_go bigint, are_left boolean) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    owners uuid [];
    chosen bigint [];
BEGIN
    IF NOT EXISTS (SELECT FROM procrastinate_jobs AS delivery WHERE delivery.held) THEN
        RETURN QUERY SELECT 0::bigint, false;
        RETURN;
    END IF;
    -- From owner to owner along the index: how many they hold doesn't matter.
    WITH RECURSIVE holding AS (
        (SELECT delivery.owner_id FROM procrastinate_jobs AS delivery WHERE delivery.held ORDER BY delivery.owner_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT delivery.owner_id FROM procrastinate_jobs AS delivery
            WHERE delivery.held AND delivery.owner_id > holding.owner_id
            ORDER BY delivery.owner_id
            LIMIT 1
        )
        FROM holding WHERE holding.owner_id IS NOT NULL
    )
    SELECT array_agg(holding.owner_id) INTO owners FROM holding WHERE holding.owner_id IS NOT NULL;
    SELECT array_agg(best.id) INTO chosen
    FROM (
        SELECT best.id
        FROM unnest(owners) AS holding (owner_id)
        LEFT JOIN running_jobs_of(owners) AS running ON holding.owner_id = running.owner_id
        CROSS JOIN LATERAL (
            SELECT delivery.id FROM procrastinate_jobs AS delivery
            WHERE delivery.held AND delivery.owner_id = holding.owner_id
            ORDER BY delivery.owner_id, -delivery.priority, delivery.id
            LIMIT CASE max_running WHEN 0 THEN 1000 ELSE greatest(0, max_running - coalesce(running.jobs_running, 0)) END
        ) AS best
        LIMIT 1000
    ) AS best;
    RETURN QUERY
    WITH free AS (
        SELECT delivery.id FROM procrastinate_jobs AS delivery
        WHERE delivery.id = ANY(chosen) AND delivery.held
        FOR UPDATE SKIP LOCKED
    ),
    let_through AS (
        UPDATE procrastinate_jobs SET held = false FROM free WHERE procrastinate_jobs.id = free.id
        RETURNING procrastinate_jobs.queue_name
    ),
    notified AS (
        SELECT pg_notify('procrastinate_queue_v1#' || queues.queue_name, '')
        FROM (SELECT DISTINCT let_through.queue_name FROM let_through) AS queues
    )
    SELECT (SELECT count(*) FROM let_through), true FROM (SELECT count(*) FROM notified) AS done;
END;
$$;

COMMENT ON FUNCTION unhold_deliveries IS 'Let held deliveries of owners with room go; whether some may be left';
