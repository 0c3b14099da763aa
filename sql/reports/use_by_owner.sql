-- What each user submitted within some days and what became of it, and the time workers spent for them, the most first.
-- param: days integer = 30
-- param: max_owners integer = 100
\if :{?days} \else \set days 30 \endif
\if :{?max_owners} \else \set max_owners 100 \endif
WITH submitted AS (
    SELECT
        owner_id,
        count(*) AS submitted,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE status IN ('pending', 'running')) AS unfinished
    FROM reporting.jobs_v1
    WHERE created_at > now() - make_interval(days => :days::integer)
    GROUP BY owner_id
),
spent AS (
    SELECT owner_id, count(*) AS attempts, sum(processing_seconds) AS processing_seconds
    FROM reporting.attempts_v1
    WHERE ended_at > now() - make_interval(days => :days::integer)
    GROUP BY owner_id
)
SELECT
    owner_id,
    coalesce(submitted.submitted, 0) AS submitted,
    coalesce(submitted.completed, 0) AS completed,
    coalesce(submitted.failed, 0) AS failed,
    coalesce(submitted.cancelled, 0) AS cancelled,
    coalesce(submitted.unfinished, 0) AS unfinished,
    coalesce(spent.attempts, 0) AS attempts,
    round(coalesce(spent.processing_seconds, 0)::numeric, 3) AS processing_seconds
FROM submitted
FULL JOIN spent USING (owner_id)
ORDER BY processing_seconds DESC, submitted DESC, owner_id
LIMIT :max_owners::integer;
