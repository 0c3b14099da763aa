-- What happened to jobs, counted as it happens, so that no statistic ever reads the history (docs/decisions/0017-rollups.md).
-- locks: new objects only.

CREATE TYPE stat_resolution AS ENUM ('minute', 'hour', 'day');

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
    processing_buckets smallint [] NOT NULL DEFAULT '{}'
);

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
);

COMMENT ON TABLE job_stats IS 'Finished jobs and ended attempts by job type and minute, hour and day (UTC); clean-up takes nothing away';
COMMENT ON COLUMN job_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_stats.at IS 'When the span begins';
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
    bucket smallint NOT NULL,
    waiting bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (resolution, at, job_type, bucket)
);

COMMENT ON TABLE job_time_stats IS 'How long completed and failed attempts waited and ran: a histogram that can be added up over spans and types';
COMMENT ON COLUMN job_time_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_time_stats.at IS 'When the span begins';
COMMENT ON COLUMN job_time_stats.job_type IS 'The job type';
COMMENT ON COLUMN job_time_stats.bucket IS 'Which lengths of time, stat_bucket(); stat_bucket_seconds() is within 5 % of each of them';
COMMENT ON COLUMN job_time_stats.waiting IS 'Attempts that waited so long from due to started';
COMMENT ON COLUMN job_time_stats.processing IS 'Attempts that ran so long';

CREATE TABLE job_failure_stats (
    resolution stat_resolution NOT NULL,
    at timestamptz NOT NULL,
    job_type text NOT NULL,
    error_code text NOT NULL,
    failed bigint NOT NULL DEFAULT 0,
    failed_removed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (resolution, at, job_type, error_code)
);

COMMENT ON TABLE job_failure_stats IS 'The failed jobs of job_stats by their error_code';
COMMENT ON COLUMN job_failure_stats.resolution IS 'How long the span is';
COMMENT ON COLUMN job_failure_stats.at IS 'When the span begins';
COMMENT ON COLUMN job_failure_stats.job_type IS 'The job type';
COMMENT ON COLUMN job_failure_stats.error_code IS 'jobs.error_code';
COMMENT ON COLUMN job_failure_stats.failed IS 'Jobs that finished in the span as failed with this code and were not retried since';
COMMENT ON COLUMN job_failure_stats.failed_removed IS 'How many of them were cleaned up';

-- Each bucket is a tenth wider than the one before, from a millisecond up: the middle (geometric) is within 4.9 % of all that lies in it.
CREATE FUNCTION stat_bucket(seconds double precision) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (CASE WHEN seconds < 0.001 THEN 0 ELSE least(300, 1 + floor(ln(seconds / 0.001) / ln(1.1))) END)::smallint
$$;

COMMENT ON FUNCTION stat_bucket IS 'The bucket of a length of time: 0 is below a millisecond, 300 is eighty years';

CREATE FUNCTION stat_bucket_seconds(bucket smallint) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE bucket WHEN 0 THEN 0.0005 ELSE 0.001 * power(1.1::double precision, bucket - 0.5) END
$$;

COMMENT ON FUNCTION stat_bucket_seconds IS 'The length of time a bucket stands for: within 4.9 % of each in it';

-- Temporary: branch `rollups` brings the real ones, which add what is not folded yet.
CREATE VIEW job_stats_current AS SELECT * FROM job_stats;
CREATE VIEW job_time_stats_current AS SELECT * FROM job_time_stats;
CREATE VIEW job_failure_stats_current AS SELECT * FROM job_failure_stats;
