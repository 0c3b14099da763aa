-- The truth: jobs and their attempts. A row of procrastinate_jobs is only the delivery of one of them.
-- locks: new objects only.

CREATE TYPE job_status AS ENUM ('pending', 'running', 'completed', 'failed', 'cancelled');
CREATE TYPE attempt_outcome AS ENUM ('completed', 'failed', 'cancelled', 'released', 'worker_lost', 'superseded');

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    job_type text NOT NULL,
    queue text NOT NULL,
    title text NOT NULL,
    description text,
    parameters jsonb NOT NULL,
    tags text [] NOT NULL DEFAULT '{}',
    priority smallint NOT NULL DEFAULT 0,
    status job_status NOT NULL DEFAULT 'pending',
    progress_percentage smallint NOT NULL DEFAULT 0,
    progress_message text,
    result jsonb,
    error_message text,
    error_code text,
    attempt integer NOT NULL DEFAULT 0,
    failed_attempts integer NOT NULL DEFAULT 0,
    lost_attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 1,
    scheduled_for timestamptz,
    due_at timestamptz NOT NULL,
    deliver_at timestamptz,
    delivery_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    cancel_requested_at timestamptz,
    worker_id uuid,
    version bigint NOT NULL DEFAULT 1,
    CONSTRAINT jobs_job_type_check CHECK (length(job_type) BETWEEN 1 AND 100),
    CONSTRAINT jobs_queue_check CHECK (queue ~ '^[a-z][a-z0-9_-]{0,19}$'),
    CONSTRAINT jobs_title_check CHECK (title = btrim(title) AND length(title) BETWEEN 1 AND 200),
    CONSTRAINT jobs_description_check CHECK (length(description) <= 4000),
    CONSTRAINT jobs_parameters_check CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT jobs_tags_check CHECK (cardinality(tags) <= 20),
    CONSTRAINT jobs_priority_check CHECK (priority BETWEEN -100 AND 100),
    CONSTRAINT jobs_progress_check CHECK (progress_percentage BETWEEN 0 AND 100),
    CONSTRAINT jobs_attempts_check CHECK (
        attempt >= 0 AND failed_attempts >= 0 AND lost_attempts >= 0 AND failed_attempts + lost_attempts <= attempt AND max_attempts >= 1
    ),
    CONSTRAINT jobs_finished_check CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
    CONSTRAINT jobs_running_check CHECK (status <> 'running' OR (worker_id IS NOT NULL AND attempt > 0 AND started_at IS NOT NULL)),
    -- A pending job has its delivery or the time it will get one, never both and never neither: neither would be a lost job.
    CONSTRAINT jobs_delivery_check CHECK (num_nonnulls(delivery_id, deliver_at) = CASE status WHEN 'pending' THEN 1 ELSE 0 END),
    CONSTRAINT jobs_result_check CHECK (result IS NULL OR status = 'completed'),
    CONSTRAINT jobs_error_check CHECK (
        CASE status
            WHEN 'completed' THEN num_nonnulls(error_code, error_message) = 0
            WHEN 'failed' THEN num_nonnulls(error_code, error_message) = 2
            ELSE true
        END
    ),
    CONSTRAINT jobs_cancel_check CHECK (status <> 'pending' OR cancel_requested_at IS NULL),
    CONSTRAINT jobs_version_check CHECK (version > 0)
);

CREATE INDEX jobs_newest_of_owner_idx ON jobs (owner_id, created_at DESC, id DESC);
CREATE INDEX jobs_newest_idx ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_promote_idx ON jobs (deliver_at) WHERE deliver_at IS NOT NULL;
CREATE INDEX jobs_running_idx ON jobs (worker_id) WHERE status = 'running';
CREATE INDEX jobs_pending_idx ON jobs (job_type, due_at) WHERE status = 'pending';
CREATE INDEX jobs_finished_idx ON jobs (completed_at) WHERE completed_at IS NOT NULL;

COMMENT ON TABLE jobs IS 'What a user asked for, its state and its outcome: the only truth about a job';
COMMENT ON COLUMN jobs.id IS 'UUIDv7, made by the API';
COMMENT ON COLUMN jobs.owner_id IS 'users.id of who submitted it';
COMMENT ON COLUMN jobs.job_type IS 'The registered name of the handler that runs it';
COMMENT ON COLUMN jobs.queue IS 'The lane it is delivered in, from its job type at the submit';
COMMENT ON COLUMN jobs.title IS 'The user''s own words, trimmed';
COMMENT ON COLUMN jobs.description IS 'The user''s own words, longer';
COMMENT ON COLUMN jobs.parameters IS 'Input of the handler: an object that fits the job type''s schema';
COMMENT ON COLUMN jobs.tags IS 'The user''s own labels, distinct, in the order given';
COMMENT ON COLUMN jobs.priority IS 'From -100 to 100; higher runs first';
COMMENT ON COLUMN jobs.status IS 'Where it is in its life cycle, docs/job-lifecycle.md';
COMMENT ON COLUMN jobs.progress_percentage IS '0 to 100, as the handler reports it; 100 once completed';
COMMENT ON COLUMN jobs.progress_message IS 'The latest words of the handler about its progress';
COMMENT ON COLUMN jobs.result IS 'What the handler returned, or an administrator put in its place';
COMMENT ON COLUMN jobs.error_message IS 'Why the latest attempt failed, in words its owner may read; kept while the next attempt waits';
COMMENT ON COLUMN jobs.error_code IS 'The same as a stable word for programs';
COMMENT ON COLUMN jobs.attempt IS 'How often it was started; the number of the running attempt';
COMMENT ON COLUMN jobs.failed_attempts IS 'Attempts that failed since the submit or the last manual retry; compared with max_attempts';
COMMENT ON COLUMN jobs.lost_attempts IS 'Attempts lost with their worker since the submit or the last manual retry; the third one is final';
COMMENT ON COLUMN jobs.max_attempts IS 'How many failed attempts make it fail, from its job type at the submit';
COMMENT ON COLUMN jobs.scheduled_for IS 'When it was asked to run: by the user, or by the backoff after a failure; null: at once';
COMMENT ON COLUMN jobs.due_at IS 'When it became, or becomes, ready to run; waiting time counts from here';
COMMENT ON COLUMN jobs.deliver_at IS 'When a pending job without a delivery gets one';
COMMENT ON COLUMN jobs.delivery_id IS 'procrastinate_jobs.id of the one delivery that may start a pending job; an older one does nothing';
COMMENT ON COLUMN jobs.created_at IS 'When it was submitted';
COMMENT ON COLUMN jobs.updated_at IS 'When version last grew';
COMMENT ON COLUMN jobs.started_at IS 'When the latest attempt started; cleared by a manual retry';
COMMENT ON COLUMN jobs.completed_at IS 'When it finished: completed, failed or cancelled';
COMMENT ON COLUMN jobs.cancel_requested_at IS 'When it was first asked to stop';
COMMENT ON COLUMN jobs.worker_id IS 'workers.id of the latest attempt''s worker, which may be gone';
COMMENT ON COLUMN jobs.version IS 'Grows with every change a client can see';

CREATE TABLE job_attempts (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number integer NOT NULL,
    worker_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(),
    outcome attempt_outcome NOT NULL,
    error_code text,
    error_message text,
    traceback text,
    PRIMARY KEY (job_id, number),
    CONSTRAINT job_attempts_number_check CHECK (number > 0),
    CONSTRAINT job_attempts_error_check CHECK (
        CASE outcome
            WHEN 'completed' THEN num_nonnulls(error_code, error_message, traceback) = 0
            WHEN 'failed' THEN num_nonnulls(error_code, error_message) = 2
            ELSE true
        END
    )
);

CREATE INDEX job_attempts_ended_idx ON job_attempts (ended_at);

COMMENT ON TABLE job_attempts IS 'One row per ended run of a job, written once, when it ends; a running one stands in jobs';
COMMENT ON COLUMN job_attempts.job_id IS 'The job';
COMMENT ON COLUMN job_attempts.number IS 'Counted from 1 over the whole life of the job, retries included';
COMMENT ON COLUMN job_attempts.worker_id IS 'workers.id of the process that ran it, which may be gone';
COMMENT ON COLUMN job_attempts.due_at IS 'Since when the job had been ready to run';
COMMENT ON COLUMN job_attempts.started_at IS 'When a worker claimed it';
COMMENT ON COLUMN job_attempts.ended_at IS 'When its outcome was recorded';
COMMENT ON COLUMN job_attempts.outcome IS 'How it ended';
COMMENT ON COLUMN job_attempts.error_code IS 'Why it failed, as a stable word';
COMMENT ON COLUMN job_attempts.error_message IS 'Why it failed, in words its owner may read';
COMMENT ON COLUMN job_attempts.traceback IS 'Where it failed, for administrators only';

CREATE TABLE idempotency_keys (
    owner_id uuid NOT NULL,
    key text NOT NULL,
    body_sha256 bytea NOT NULL,
    job_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (owner_id, key),
    CONSTRAINT idempotency_keys_key_check CHECK (key ~ '^[!-~]{1,200}$'),
    CONSTRAINT idempotency_keys_body_sha256_check CHECK (length(body_sha256) = 32)
);

CREATE INDEX idempotency_keys_expired_idx ON idempotency_keys (expires_at);

COMMENT ON TABLE idempotency_keys IS 'Which job each Idempotency-Key of a user made, so that a repeated submit makes no second one';
COMMENT ON COLUMN idempotency_keys.owner_id IS 'users.id of who sent the key; keys of different users never meet';
COMMENT ON COLUMN idempotency_keys.key IS 'The header''s value, 1 to 200 visible ASCII characters';
COMMENT ON COLUMN idempotency_keys.body_sha256 IS 'SHA-256 of the body''s JSON value in canonical form';
COMMENT ON COLUMN idempotency_keys.job_id IS 'The job the first request made';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When the first request was accepted';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'From when the key may be used anew';

-- The only place that makes a delivery. It joins the caller's transaction; workers are notified when that commits.
-- source: procrastinate_defer_jobs_v1, public in Procrastinate 3.10 (tests/contract pins it)
CREATE FUNCTION deliver_job(job_id uuid, queue text, priority integer) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (procrastinate_defer_jobs_v1(ARRAY[
        ROW(queue, 'jobhub.run', priority, NULL, NULL, jsonb_build_object('job_id', job_id), NULL)::procrastinate_job_to_defer_v1
    ]))[1]
$$;

COMMENT ON FUNCTION deliver_job IS 'Queue one delivery of a job and return its id';
