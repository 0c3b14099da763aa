-- Keeping the statistics: what other statements wrote to job_stat_changes is added to the rollups (docs/decisions/0017-rollups.md).

-- name: fold_job_stats
-- Add at most 1,000 changes to the rollups, in each span they lie in, and delete them: both or neither. Any number of
-- workers may do it; one at a time does, so that two can't wait for each other's rows.
-- returns: one row: how many
-- locks:   an advisory one, if it is free; the changes, SKIP LOCKED; then the rows of the rollups, which nobody else locks but
--          remove_old_job_stats, and that older ones
-- index:   job_stat_changes_pkey and the primary keys of the rollups
-- limit:   30 s
-- test:    tests/store/test_rollups.py, tests/contract/test_plans.py
WITH taken AS MATERIALIZED (
    SELECT job_stat_changes.id FROM job_stat_changes
    WHERE (SELECT pg_try_advisory_xact_lock(7203641859))
    ORDER BY job_stat_changes.id
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
stats AS (
    INSERT INTO job_stats (
        resolution, at, job_type, completed, failed, cancelled, completed_removed, failed_removed, cancelled_removed,
        attempts_completed, attempts_failed, attempts_cancelled, attempts_released, attempts_worker_lost, attempts_superseded,
        attempts_removed, waiting_microseconds, processing_microseconds
    )
    SELECT
        change.resolution, change.at, change.job_type,
        sum(change.completed), sum(change.failed), sum(change.cancelled),
        sum(change.completed_removed), sum(change.failed_removed), sum(change.cancelled_removed),
        sum(change.attempts_completed), sum(change.attempts_failed), sum(change.attempts_cancelled), sum(change.attempts_released),
        sum(change.attempts_worker_lost), sum(change.attempts_superseded), sum(change.attempts_removed),
        sum(change.waiting_microseconds), sum(change.processing_microseconds)
    FROM job_stats_unfolded AS change
    WHERE change.change_id = ANY(ARRAY(SELECT taken.id FROM taken))
    GROUP BY change.resolution, change.at, change.job_type
    ON CONFLICT (resolution, at, job_type) DO UPDATE SET
        completed = job_stats.completed + excluded.completed,
        failed = job_stats.failed + excluded.failed,
        cancelled = job_stats.cancelled + excluded.cancelled,
        completed_removed = job_stats.completed_removed + excluded.completed_removed,
        failed_removed = job_stats.failed_removed + excluded.failed_removed,
        cancelled_removed = job_stats.cancelled_removed + excluded.cancelled_removed,
        attempts_completed = job_stats.attempts_completed + excluded.attempts_completed,
        attempts_failed = job_stats.attempts_failed + excluded.attempts_failed,
        attempts_cancelled = job_stats.attempts_cancelled + excluded.attempts_cancelled,
        attempts_released = job_stats.attempts_released + excluded.attempts_released,
        attempts_worker_lost = job_stats.attempts_worker_lost + excluded.attempts_worker_lost,
        attempts_superseded = job_stats.attempts_superseded + excluded.attempts_superseded,
        attempts_removed = job_stats.attempts_removed + excluded.attempts_removed,
        waiting_microseconds = job_stats.waiting_microseconds + excluded.waiting_microseconds,
        processing_microseconds = job_stats.processing_microseconds + excluded.processing_microseconds
),
times AS (
    INSERT INTO job_time_stats (resolution, at, job_type, waiting, processing)
    SELECT
        counted.resolution, counted.at, counted.job_type,
        stat_histogram(array_agg(counted.bucket), array_agg(counted.waiting)),
        stat_histogram(array_agg(counted.bucket), array_agg(counted.processing))
    FROM (
        SELECT
            span.resolution, span.at, of_minute.job_type, of_minute.bucket,
            sum(of_minute.waiting)::bigint AS waiting, sum(of_minute.processing)::bigint AS processing
        -- By minute first, all of which is in the same spans: thousands of times become a row for each bucket.
        FROM (
            SELECT
                stat_span('1 min', change.moment) AS begins_at, change.job_type, change.bucket,
                sum(change.waiting) AS waiting, sum(change.processing) AS processing
            FROM job_time_stats_changed AS change
            WHERE change.change_id = ANY(ARRAY(SELECT taken.id FROM taken))
            GROUP BY stat_span('1 min', change.moment), change.job_type, change.bucket
        ) AS of_minute
        CROSS JOIN LATERAL stat_spans(of_minute.begins_at) AS span
        GROUP BY span.resolution, span.at, of_minute.job_type, of_minute.bucket
    ) AS counted
    GROUP BY counted.resolution, counted.at, counted.job_type
    ON CONFLICT (resolution, at, job_type) DO UPDATE SET
        waiting = stat_histogram_sum(job_time_stats.waiting, excluded.waiting),
        processing = stat_histogram_sum(job_time_stats.processing, excluded.processing)
),
failures AS (
    INSERT INTO job_failure_stats (resolution, at, job_type, error_code, failed, failed_removed)
    SELECT change.resolution, change.at, change.job_type, change.error_code, sum(change.failed), sum(change.failed_removed)
    FROM job_failure_stats_unfolded AS change
    WHERE change.change_id = ANY(ARRAY(SELECT taken.id FROM taken))
    GROUP BY change.resolution, change.at, change.job_type, change.error_code
    ON CONFLICT (resolution, at, job_type, error_code) DO UPDATE SET
        failed = job_failure_stats.failed + excluded.failed,
        failed_removed = job_failure_stats.failed_removed + excluded.failed_removed
),
folded AS (
    DELETE FROM job_stat_changes WHERE job_stat_changes.id = ANY(ARRAY(SELECT taken.id FROM taken))
)
SELECT count(*) AS folded FROM taken;

-- name: fold_is_due
-- Whether the oldest change that is not folded yet has waited for so long, or is of what happened before that.
-- params:  seconds
-- returns: one row: is_due
-- index:   job_stat_changes_pkey
-- test:    tests/store/test_rollups.py, tests/contract/test_plans.py
SELECT coalesce(
    (
        SELECT job_stat_changes.at <= now() - make_interval(secs => :seconds::float8) FROM job_stat_changes
        ORDER BY job_stat_changes.id
        LIMIT 1
    ),
    false
) AS is_due;

-- name: remove_old_job_stats
-- Delete at most 1,000 rows of each rollup whose spans are not kept any more, an hour after they were last counted up.
-- params:  resolution: one that is not kept for ever
-- returns: one row: how many rows the rollup lost that lost the most; fewer than 1,000 when nothing is left
-- locks:   those rows, SKIP LOCKED
-- index:   the primary keys of the rollups
-- limit:   10 s
-- test:    tests/store/test_rollups.py
WITH stats AS (
    DELETE FROM job_stats WHERE job_stats.ctid = ANY(ARRAY(
        SELECT old.ctid FROM job_stats AS old
        WHERE old.resolution = :resolution::stat_resolution
            AND old.at < stats_kept_from(:resolution::stat_resolution) - interval '1 hour'
        ORDER BY old.at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING job_stats.at
),
times AS (
    DELETE FROM job_time_stats WHERE job_time_stats.ctid = ANY(ARRAY(
        SELECT old.ctid FROM job_time_stats AS old
        WHERE old.resolution = :resolution::stat_resolution
            AND old.at < stats_kept_from(:resolution::stat_resolution) - interval '1 hour'
        ORDER BY old.at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING job_time_stats.at
),
failures AS (
    DELETE FROM job_failure_stats WHERE job_failure_stats.ctid = ANY(ARRAY(
        SELECT old.ctid FROM job_failure_stats AS old
        WHERE old.resolution = :resolution::stat_resolution
            AND old.at < stats_kept_from(:resolution::stat_resolution) - interval '1 hour'
        ORDER BY old.at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING job_failure_stats.at
)
SELECT greatest((SELECT count(*) FROM stats), (SELECT count(*) FROM times), (SELECT count(*) FROM failures)) AS removed;
