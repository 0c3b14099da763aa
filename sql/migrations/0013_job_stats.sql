-- What happened to jobs, counted as it happens, so that no statistic ever reads the history (docs/decisions/0017-rollups.md).
-- locks: SHARE on jobs and job_attempts while the history so far is counted: 3 s per million jobs. Everybody who writes jobs waits for it.
-- Processes of an older version must be stopped before: what they finish afterwards is not counted.

CREATE TYPE stat_resolution AS ENUM ('minute', 'ten_minutes', 'hour', 'six_hours', 'day', 'week', 'all_time');

CREATE TABLE job_stat_changes (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    job_type text NOT NULL,
    status job_status,
    error_code text,
    jobs integer NOT NULL DEFAULT 0,
    jobs_removed integer NOT NULL DEFAULT 0,
    outcome attempt_outcome,
    attempts integer NOT NULL DEFAULT 0,
    attempts_removed integer NOT NULL DEFAULT 0,
    waiting_microseconds bigint NOT NULL DEFAULT 0,
    processing_microseconds bigint NOT NULL DEFAULT 0,
    waiting_buckets smallint [] NOT NULL DEFAULT '{}',
    processing_buckets smallint [] NOT NULL DEFAULT '{}',
    CONSTRAINT job_stat_changes_buckets_check CHECK (cardinality(waiting_buckets) = cardinality(processing_buckets))
)
WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000
);

-- Those of a large batch go out of line: what doesn't compress need not be tried.
ALTER TABLE job_stat_changes ALTER COLUMN waiting_buckets SET STORAGE EXTERNAL;
ALTER TABLE job_stat_changes ALTER COLUMN processing_buckets SET STORAGE EXTERNAL;

COMMENT ON TABLE job_stat_changes IS 'What statements did to finished jobs and ended attempts, in their own transactions, until it is folded into the rollups';
COMMENT ON COLUMN job_stat_changes.id IS 'In the order of writing';
COMMENT ON COLUMN job_stat_changes.at IS 'completed_at of the jobs, ended_at of the attempts';
COMMENT ON COLUMN job_stat_changes.job_type IS 'Their type';
COMMENT ON COLUMN job_stat_changes.status IS 'Of the jobs: completed, failed or cancelled; null if no job finished';
COMMENT ON COLUMN job_stat_changes.error_code IS 'Of failed jobs';
COMMENT ON COLUMN job_stat_changes.jobs IS 'How many finished so; negative: how many that had are finished no more, or otherwise';
COMMENT ON COLUMN job_stat_changes.jobs_removed IS 'How many of those that finished so were cleaned up';
COMMENT ON COLUMN job_stat_changes.outcome IS 'Of the attempts; null if none ended';
COMMENT ON COLUMN job_stat_changes.attempts IS 'How many ended so';
COMMENT ON COLUMN job_stat_changes.attempts_removed IS 'How many of those that ended so were cleaned up';
COMMENT ON COLUMN job_stat_changes.waiting_microseconds IS 'Sum over the attempts that completed or failed, from due to started';
COMMENT ON COLUMN job_stat_changes.processing_microseconds IS 'Sum over the same, from started to ended';
COMMENT ON COLUMN job_stat_changes.waiting_buckets IS 'stat_bucket() of each of those attempts';
COMMENT ON COLUMN job_stat_changes.processing_buckets IS 'stat_bucket() of each of those attempts';

CREATE TABLE job_stats (
    resolution stat_resolution NOT NULL,
    at timestamptz NOT NULL,
    job_type text NOT NULL,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    completed_removed bigint NOT NULL DEFAULT 0,
    failed_removed bigint NOT NULL DEFAULT 0,
    cancelled_removed bigint NOT NULL DEFAULT 0,
    attempts_completed bigint NOT NULL DEFAULT 0,
    attempts_failed bigint NOT NULL DEFAULT 0,
    attempts_cancelled bigint NOT NULL DEFAULT 0,
    attempts_released bigint NOT NULL DEFAULT 0,
    attempts_worker_lost bigint NOT NULL DEFAULT 0,
    attempts_superseded bigint NOT NULL DEFAULT 0,
    attempts_removed bigint NOT NULL DEFAULT 0,
    waiting_microseconds bigint NOT NULL DEFAULT 0,
    processing_microseconds bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (resolution, at, job_type)
)
-- Room on the page for the next versions of what is counted up every few seconds.
WITH (fillfactor = 70);

COMMENT ON TABLE job_stats IS 'Finished jobs and ended attempts by job type and span of time: minute, hour, day (UTC) and others. Clean-up takes nothing away';
COMMENT ON COLUMN job_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_stats.at IS 'When the span begins; 1970-01-01 for all time';
COMMENT ON COLUMN job_stats.job_type IS 'The job type';
COMMENT ON COLUMN job_stats.completed IS 'Jobs that finished in the span as completed';
COMMENT ON COLUMN job_stats.failed IS 'Jobs that finished in the span as failed and were not retried since';
COMMENT ON COLUMN job_stats.cancelled IS 'Jobs that finished in the span as cancelled and were not retried since';
COMMENT ON COLUMN job_stats.completed_removed IS 'How many of the completed ones were cleaned up';
COMMENT ON COLUMN job_stats.failed_removed IS 'How many of the failed ones were cleaned up';
COMMENT ON COLUMN job_stats.cancelled_removed IS 'How many of the cancelled ones were cleaned up';
COMMENT ON COLUMN job_stats.attempts_completed IS 'Attempts that ended in the span as completed';
COMMENT ON COLUMN job_stats.attempts_failed IS 'Attempts that ended in the span as failed';
COMMENT ON COLUMN job_stats.attempts_cancelled IS 'Attempts that ended in the span as cancelled';
COMMENT ON COLUMN job_stats.attempts_released IS 'Attempts given back by a worker that stopped';
COMMENT ON COLUMN job_stats.attempts_worker_lost IS 'Attempts lost with their worker';
COMMENT ON COLUMN job_stats.attempts_superseded IS 'Attempts fenced off by a force-completion';
COMMENT ON COLUMN job_stats.attempts_removed IS 'How many of all these attempts were cleaned up with their jobs';
COMMENT ON COLUMN job_stats.waiting_microseconds IS 'Sum over completed and failed attempts, from due to started';
COMMENT ON COLUMN job_stats.processing_microseconds IS 'Sum over the same, from started to ended';

CREATE TABLE job_time_stats (
    resolution stat_resolution NOT NULL,
    at timestamptz NOT NULL,
    job_type text NOT NULL,
    waiting bigint [] NOT NULL DEFAULT '{}',
    processing bigint [] NOT NULL DEFAULT '{}',
    PRIMARY KEY (resolution, at, job_type)
)
-- Room on the page for the next versions of what is counted up every few seconds; a row is one to two kilobytes.
WITH (fillfactor = 45);

COMMENT ON TABLE job_time_stats IS 'How long completed and failed attempts waited and ran: histograms that can be added up over spans and types';
COMMENT ON COLUMN job_time_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_time_stats.at IS 'When the span begins; 1970-01-01 for all time';
COMMENT ON COLUMN job_time_stats.job_type IS 'The job type';
COMMENT ON COLUMN job_time_stats.waiting IS 'How many attempts waited, from due to started, for a time of stat_bucket() 0, 1, 2 and so on';
COMMENT ON COLUMN job_time_stats.processing IS 'How many attempts ran for a time of stat_bucket() 0, 1, 2 and so on';

CREATE TABLE job_failure_stats (
    resolution stat_resolution NOT NULL,
    at timestamptz NOT NULL,
    job_type text NOT NULL,
    error_code text NOT NULL,
    failed bigint NOT NULL DEFAULT 0,
    failed_removed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (resolution, at, job_type, error_code)
)
-- Room on the page for the next versions of what is counted up every few seconds.
WITH (fillfactor = 70);

COMMENT ON TABLE job_failure_stats IS 'The failed jobs of job_stats by their error_code';
COMMENT ON COLUMN job_failure_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_failure_stats.at IS 'When the span begins; 1970-01-01 for all time';
COMMENT ON COLUMN job_failure_stats.job_type IS 'The job type';
COMMENT ON COLUMN job_failure_stats.error_code IS 'jobs.error_code';
COMMENT ON COLUMN job_failure_stats.failed IS 'Jobs that finished in the span as failed with this code and were not retried since';
COMMENT ON COLUMN job_failure_stats.failed_removed IS 'How many of them were cleaned up';

-- Functions of the published views have their names looked up here, not where they are called: who reads those views sees no other schema.

-- Each bucket is a tenth wider than the one before, from a millisecond up: the middle (geometric) is within 4.9 % of all that lies in it.
-- Not STRICT, or it would be a call for each attempt in place of a part of the statement; null comes to null all the same.
CREATE FUNCTION stat_bucket(seconds double precision) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN seconds < 0.001 THEN 0::smallint
        WHEN seconds < 1e9 THEN (1 + floor(ln(seconds / 0.001) / ln(1.1::double precision)))::smallint
        WHEN seconds >= 1e9 THEN 300::smallint
    END;
END;

COMMENT ON FUNCTION stat_bucket IS 'The bucket of a length of time: 0 is below a millisecond, 290 and more is thirty years';

CREATE FUNCTION stat_bucket_seconds(bucket smallint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN bucket = 0 THEN 0.0005 ELSE 0.001 * power(1.1::double precision, bucket - 0.5) END;
END;

COMMENT ON FUNCTION stat_bucket_seconds IS 'The length of time a bucket stands for: within 4.9 % of each in it';

-- Histograms are arrays with a count for each bucket from 0 to the last that has any: a row for each would take four times the room.
CREATE FUNCTION stat_histogram(buckets smallint [], counts bigint []) RETURNS bigint [] LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ARRAY(
        SELECT coalesce(counted.count, 0)
        FROM generate_series(0, (SELECT max(one.bucket) FROM unnest(buckets, counts) AS one (bucket, count) WHERE one.count <> 0)) AS every (bucket)
        LEFT JOIN unnest(buckets, counts) AS counted (bucket, count) ON every.bucket = counted.bucket
        ORDER BY every.bucket
    );
END;

COMMENT ON FUNCTION stat_histogram IS 'The histogram of these buckets, each given once, and their counts';

CREATE FUNCTION stat_histogram_sum(one bigint [], other bigint []) RETURNS bigint [] LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ARRAY(
        SELECT coalesce(bucket.one, 0) + coalesce(bucket.other, 0)
        FROM unnest(one, other) WITH ORDINALITY AS bucket (one, other, nth)
        ORDER BY bucket.nth
    );
END;

COMMENT ON FUNCTION stat_histogram_sum IS 'Two histograms added up';

CREATE FUNCTION stats_kept_from(resolution stat_resolution) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN resolution IN ('minute', 'ten_minutes') THEN now() - interval '7 days'
        WHEN resolution IN ('hour', 'six_hours') THEN now() - interval '400 days'
        ELSE '-infinity'::timestamptz
    END;
END;

COMMENT ON FUNCTION stats_kept_from IS 'Spans that begin before are not counted up any more, and soon deleted';

-- Counted from a Monday.
CREATE FUNCTION stat_span(length interval, moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_bin(length, moment, '2000-01-03T00:00:00Z');
END;

COMMENT ON FUNCTION stat_span IS 'When the span of that length begins a moment lies in; days and weeks are those of UTC';

-- Ten minutes, six hours and weeks are there so that no window has to be read from more than a dozen spans or two.
CREATE FUNCTION stat_spans(moment timestamptz) RETURNS TABLE (resolution stat_resolution, at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT 'minute'::stat_resolution, stat_span('1 min', moment)
    WHERE stat_span('1 min', moment) >= stats_kept_from('minute')
    UNION ALL
    SELECT 'ten_minutes'::stat_resolution, stat_span('10 min', moment)
    WHERE stat_span('10 min', moment) >= stats_kept_from('ten_minutes')
    UNION ALL
    SELECT 'hour'::stat_resolution, stat_span('1 hour', moment)
    WHERE stat_span('1 hour', moment) >= stats_kept_from('hour')
    UNION ALL
    SELECT 'six_hours'::stat_resolution, stat_span('6 hours', moment)
    WHERE stat_span('6 hours', moment) >= stats_kept_from('six_hours')
    UNION ALL
    SELECT 'day'::stat_resolution, stat_span('1 day', moment)
    UNION ALL
    SELECT 'week'::stat_resolution, stat_span('7 days', moment)
    UNION ALL
    SELECT 'all_time'::stat_resolution, '1970-01-01T00:00:00Z'::timestamptz;
END;

COMMENT ON FUNCTION stat_spans IS 'The spans a moment is counted in, of those that are kept';

-- What changes add to the rollups, row by row: the one place that says so. The fold reads it once for each change, and everybody who wants to
-- know the state of this moment adds it to what is stored.
CREATE VIEW job_stats_changed AS
SELECT
    id AS change_id, at AS moment, job_type,
    (CASE status WHEN 'completed' THEN jobs ELSE 0 END)::bigint AS completed,
    (CASE status WHEN 'failed' THEN jobs ELSE 0 END)::bigint AS failed,
    (CASE status WHEN 'cancelled' THEN jobs ELSE 0 END)::bigint AS cancelled,
    (CASE status WHEN 'completed' THEN jobs_removed ELSE 0 END)::bigint AS completed_removed,
    (CASE status WHEN 'failed' THEN jobs_removed ELSE 0 END)::bigint AS failed_removed,
    (CASE status WHEN 'cancelled' THEN jobs_removed ELSE 0 END)::bigint AS cancelled_removed,
    (CASE outcome WHEN 'completed' THEN attempts ELSE 0 END)::bigint AS attempts_completed,
    (CASE outcome WHEN 'failed' THEN attempts ELSE 0 END)::bigint AS attempts_failed,
    (CASE outcome WHEN 'cancelled' THEN attempts ELSE 0 END)::bigint AS attempts_cancelled,
    (CASE outcome WHEN 'released' THEN attempts ELSE 0 END)::bigint AS attempts_released,
    (CASE outcome WHEN 'worker_lost' THEN attempts ELSE 0 END)::bigint AS attempts_worker_lost,
    (CASE outcome WHEN 'superseded' THEN attempts ELSE 0 END)::bigint AS attempts_superseded,
    attempts_removed::bigint AS attempts_removed,
    waiting_microseconds, processing_microseconds
FROM job_stat_changes;

CREATE VIEW job_time_stats_changed AS
SELECT id AS change_id, at AS moment, job_type, unnest(waiting_buckets) AS bucket, 1 AS waiting, 0 AS processing
FROM job_stat_changes
UNION ALL
SELECT id, at, job_type, unnest(processing_buckets), 0, 1
FROM job_stat_changes;

CREATE VIEW job_failure_stats_changed AS
SELECT
    id AS change_id, at AS moment, job_type, error_code,
    jobs::bigint AS failed, jobs_removed::bigint AS failed_removed
FROM job_stat_changes
WHERE status = 'failed' AND error_code IS NOT NULL;

COMMENT ON VIEW job_stats_changed IS 'What each change adds to job_stats, in whatever span; moment is what lies in it';
COMMENT ON VIEW job_time_stats_changed IS 'What each change adds to job_time_stats, in whatever span: a row for each time';
COMMENT ON VIEW job_failure_stats_changed IS 'What each change adds to job_failure_stats, in whatever span';

CREATE VIEW job_stats_unfolded AS
SELECT
    change.change_id, span.resolution, span.at, change.job_type,
    change.completed, change.failed, change.cancelled, change.completed_removed, change.failed_removed, change.cancelled_removed,
    change.attempts_completed, change.attempts_failed, change.attempts_cancelled, change.attempts_released, change.attempts_worker_lost,
    change.attempts_superseded, change.attempts_removed, change.waiting_microseconds, change.processing_microseconds
FROM job_stats_changed AS change
CROSS JOIN LATERAL stat_spans(change.moment) AS span;

CREATE VIEW job_time_stats_unfolded AS
SELECT counted.change_id, span.resolution, span.at, counted.job_type, counted.bucket, counted.waiting, counted.processing
FROM (
    SELECT
        change.change_id, change.moment, change.job_type, change.bucket,
        sum(change.waiting)::bigint AS waiting, sum(change.processing)::bigint AS processing
    FROM job_time_stats_changed AS change
    GROUP BY change.change_id, change.moment, change.job_type, change.bucket
) AS counted
CROSS JOIN LATERAL stat_spans(counted.moment) AS span;

CREATE VIEW job_failure_stats_unfolded AS
SELECT change.change_id, span.resolution, span.at, change.job_type, change.error_code, change.failed, change.failed_removed
FROM job_failure_stats_changed AS change
CROSS JOIN LATERAL stat_spans(change.moment) AS span;

COMMENT ON VIEW job_stats_unfolded IS 'The same in each span it lies in';
COMMENT ON VIEW job_time_stats_unfolded IS 'The same in each span it lies in, by bucket';
COMMENT ON VIEW job_failure_stats_unfolded IS 'The same in each span it lies in';

CREATE VIEW job_stats_current AS
SELECT
    resolution, at, job_type, completed, failed, cancelled, completed_removed, failed_removed, cancelled_removed,
    attempts_completed, attempts_failed, attempts_cancelled, attempts_released, attempts_worker_lost, attempts_superseded, attempts_removed,
    waiting_microseconds, processing_microseconds
FROM job_stats
UNION ALL
SELECT
    resolution, at, job_type, completed, failed, cancelled, completed_removed, failed_removed, cancelled_removed,
    attempts_completed, attempts_failed, attempts_cancelled, attempts_released, attempts_worker_lost, attempts_superseded, attempts_removed,
    waiting_microseconds, processing_microseconds
FROM job_stats_unfolded;

CREATE VIEW job_time_stats_current AS
SELECT
    stored.resolution, stored.at, stored.job_type, (bucket.nth - 1)::smallint AS bucket,
    coalesce(bucket.waiting, 0) AS waiting, coalesce(bucket.processing, 0) AS processing
FROM job_time_stats AS stored
CROSS JOIN LATERAL unnest(stored.waiting, stored.processing) WITH ORDINALITY AS bucket (waiting, processing, nth)
WHERE bucket.waiting <> 0 OR bucket.processing <> 0
UNION ALL
SELECT resolution, at, job_type, bucket, waiting, processing FROM job_time_stats_unfolded;

CREATE VIEW job_failure_stats_current AS
SELECT resolution, at, job_type, error_code, failed, failed_removed FROM job_failure_stats
UNION ALL
SELECT resolution, at, job_type, error_code, failed, failed_removed FROM job_failure_stats_unfolded;

COMMENT ON VIEW job_stats_current IS 'job_stats to this moment: what is stored and what is not folded yet. Several rows may stand for one span and type: add them up';
COMMENT ON VIEW job_time_stats_current IS 'job_time_stats to this moment, by bucket; add up as those of job_stats_current';
COMMENT ON VIEW job_failure_stats_current IS 'job_failure_stats to this moment; add up as those of job_stats_current';

CREATE FUNCTION finest_stat_span(moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN stat_span('1 min', moment) >= stats_kept_from('minute') THEN stat_span('1 min', moment)
        WHEN stat_span('10 min', moment) >= stats_kept_from('ten_minutes') THEN stat_span('10 min', moment)
        WHEN stat_span('1 hour', moment) >= stats_kept_from('hour') THEN stat_span('1 hour', moment)
        WHEN stat_span('6 hours', moment) >= stats_kept_from('six_hours') THEN stat_span('6 hours', moment)
        ELSE stat_span('1 day', moment)
    END;
END;

COMMENT ON FUNCTION finest_stat_span IS 'When the shortest span begins a moment is counted in';

-- What stands in jobs and job_attempts, written as changes: for each minute, or hour or day where those are all that is kept. Workers fold it.
CREATE FUNCTION count_history_into_stats() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    counted bigint;
BEGIN
    LOCK TABLE jobs, job_attempts IN SHARE MODE;
    IF EXISTS (SELECT FROM job_stats) OR EXISTS (SELECT FROM job_stat_changes) THEN
        RAISE EXCEPTION 'something is counted already, and would be counted twice'
            USING HINT = 'Empty job_stats, job_time_stats, job_failure_stats and job_stat_changes in the same transaction.';
    END IF;
    INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs)
    SELECT finest_stat_span(completed_at), job_type, status, CASE status WHEN 'failed' THEN error_code END, count(*)
    FROM jobs
    WHERE completed_at IS NOT NULL
    GROUP BY 1, 2, 3, 4;
    INSERT INTO job_stat_changes (
        at, job_type, outcome, attempts, waiting_microseconds, processing_microseconds, waiting_buckets, processing_buckets
    )
    SELECT
        finest_stat_span(attempt.ended_at), jobs.job_type, attempt.outcome, count(*),
        CASE WHEN attempt.outcome IN ('completed', 'failed')
            THEN sum((greatest(date_part('epoch', attempt.started_at - attempt.due_at), 0) * 1e6)::bigint) ELSE 0
        END,
        CASE WHEN attempt.outcome IN ('completed', 'failed')
            THEN sum((greatest(date_part('epoch', attempt.ended_at - attempt.started_at), 0) * 1e6)::bigint) ELSE 0
        END,
        CASE WHEN attempt.outcome IN ('completed', 'failed')
            THEN array_agg(stat_bucket(date_part('epoch', attempt.started_at - attempt.due_at))) ELSE '{}'
        END,
        CASE WHEN attempt.outcome IN ('completed', 'failed')
            THEN array_agg(stat_bucket(date_part('epoch', attempt.ended_at - attempt.started_at))) ELSE '{}'
        END
    FROM job_attempts AS attempt
    INNER JOIN jobs ON attempt.job_id = jobs.id
    GROUP BY 1, 2, 3;
    SELECT count(*) INTO counted FROM job_stat_changes;
    RETURN counted;
END;
$$;

COMMENT ON FUNCTION count_history_into_stats IS 'Count all jobs and attempts there are, where nothing is counted yet; how many changes that makes. Nobody can write jobs until its transaction ends';

SELECT count_history_into_stats();
