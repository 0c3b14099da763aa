-- What a claim and a finish cost: fewer index entries, no rows nobody reads, no triggers nobody needs (docs/decisions/0010).
-- locks: ACCESS EXCLUSIVE on jobs, which is written anew: some seconds per million rows. On job_attempts and Procrastinate's tables for
--        an instant.
-- Workers of an older version must be stopped before: they start jobs without a claim, which nobody would rescue.

CREATE TABLE claims (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    worker_id uuid NOT NULL,
    job_ids uuid [] NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT claims_job_ids_check CHECK (cardinality(job_ids) > 0)
)
WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000
);

-- A large claim goes out of line: what doesn't compress need not be tried.
ALTER TABLE claims ALTER COLUMN job_ids SET STORAGE EXTERNAL;

CREATE INDEX claims_of_worker_idx ON claims (worker_id);

COMMENT ON TABLE claims IS 'Where to look for running jobs: those taken together by one claim. It may name jobs that run no more and never misses one that does';
COMMENT ON COLUMN claims.id IS 'In the order of claiming';
COMMENT ON COLUMN claims.worker_id IS 'workers.id of the process that took them, which may be gone';
COMMENT ON COLUMN claims.job_ids IS 'The jobs that were started; the row goes when none of them runs on this worker any more';
COMMENT ON COLUMN claims.claimed_at IS 'When they were started';

INSERT INTO claims (worker_id, job_ids)
SELECT jobs.worker_id, array_agg(jobs.id) FROM jobs WHERE jobs.status = 'running' GROUP BY jobs.worker_id;

-- What is given at the submit and never changes is checked there, by its type: a constraint of the table is checked by every update,
-- and these cost as much as all else an update does.
CREATE DOMAIN job_type_name AS text CONSTRAINT job_type_name_check CHECK (length(value) BETWEEN 1 AND 100);
CREATE DOMAIN queue_name AS text CONSTRAINT queue_name_check CHECK (value ~ '^[a-z][a-z0-9_-]{0,19}$');
CREATE DOMAIN job_title AS text CONSTRAINT job_title_check CHECK (value = btrim(value) AND length(value) BETWEEN 1 AND 200);
CREATE DOMAIN job_description AS text CONSTRAINT job_description_check CHECK (length(value) <= 4000);
CREATE DOMAIN job_parameters AS jsonb CONSTRAINT job_parameters_check CHECK (jsonb_typeof(value) = 'object');
CREATE DOMAIN job_tags AS text [] CONSTRAINT job_tags_check CHECK (cardinality(value) <= 20);
CREATE DOMAIN job_priority AS smallint CONSTRAINT job_priority_check CHECK (value BETWEEN -100 AND 100);

ALTER TABLE jobs
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_job_type_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_queue_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_title_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_description_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_parameters_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_tags_check,
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT jobs_priority_check,
-- squawk-ignore changing-column-type
ALTER COLUMN job_type TYPE job_type_name,
-- squawk-ignore changing-column-type
ALTER COLUMN queue TYPE queue_name,
-- squawk-ignore changing-column-type
ALTER COLUMN title TYPE job_title,
-- squawk-ignore changing-column-type
ALTER COLUMN description TYPE job_description,
-- squawk-ignore changing-column-type
ALTER COLUMN parameters TYPE job_parameters,
-- squawk-ignore changing-column-type
ALTER COLUMN tags TYPE job_tags,
-- squawk-ignore changing-column-type
ALTER COLUMN priority TYPE job_priority;

-- An update is heap-only, and writes no index, unless it changes a column some index mentions: none may mention what every job changes.
-- A BRIN index is the exception from PostgreSQL 16 on.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX jobs_running_idx, jobs_pending_idx, jobs_finished_idx, jobs_promote_idx;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_finished_brin ON jobs USING brin (completed_at) WITH (pages_per_range = 32, autosummarize = on);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_promote_idx ON jobs (deliver_at) INCLUDE (job_type) WHERE deliver_at IS NOT NULL;
-- Room on the page for the later versions of each row: at 70, nearly half of all updates found none.
ALTER TABLE jobs SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

ALTER TABLE jobs ADD COLUMN unknown_type_since timestamptz;
COMMENT ON COLUMN jobs.unknown_type_since IS 'When a worker first put it back because it did not know the job type; null once it was started';

-- Whoever writes an attempt holds its job's row, and clean-up deletes both: the check would cost each attempt 12 µs.
-- squawk-ignore ban-drop-constraint
ALTER TABLE job_attempts DROP CONSTRAINT job_attempts_job_id_fkey;

-- Deliveries have no events, no periodic defers and no row-by-row notification.
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_status_events_insert_v1;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_delete_jobs_v1;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;
-- squawk-ignore ban-drop-constraint
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey;
-- squawk-ignore ban-drop-constraint
ALTER TABLE procrastinate_periodic_defers DROP CONSTRAINT procrastinate_periodic_defers_job_id_fkey;
ALTER TABLE procrastinate_jobs SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
);
-- Best first in one direction, so that a claim can start where the last one ended (claim_jobs). Of Procrastinate's own indexes remain
-- the primary key and those that hold nothing while nothing is `doing`: the others cost a delivery as much as its row.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_best_idx ON procrastinate_jobs ((-priority), id) WHERE status = 'todo';
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX procrastinate_jobs_priority_idx_v1, procrastinate_jobs_queue_name_idx_v1, procrastinate_jobs_id_lock_idx_v1,
procrastinate_jobs_queueing_lock_idx_v1;

-- The only place that makes deliveries. They join the caller's transaction; workers are notified, once per queue, when it commits.
CREATE FUNCTION deliver_jobs(job_ids uuid [], job_types text [], queues text [], priorities integer [])
RETURNS TABLE (job_id uuid, delivery_id bigint) LANGUAGE sql VOLATILE AS $$
    SELECT pg_notify('procrastinate_queue_v1#' || notified.queue, '') FROM (SELECT DISTINCT unnest(queues) AS queue) AS notified;
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)
    SELECT given.queue, given.job_type, given.priority, jsonb_build_object('job_id', given.id)
    FROM unnest(job_ids, job_types, queues, priorities) AS given (id, job_type, queue, priority)
    RETURNING (args ->> 'job_id')::uuid, id;
$$;

COMMENT ON FUNCTION deliver_jobs IS 'Queue one delivery of each job; which job got which';

-- squawk-ignore ban-drop-function
DROP FUNCTION deliver_job;
CREATE FUNCTION deliver_job(job_id uuid, job_type text, queue text, priority integer) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT deliver_jobs.delivery_id FROM deliver_jobs(ARRAY[job_id], ARRAY[job_type], ARRAY[queue], ARRAY[priority])
$$;

COMMENT ON FUNCTION deliver_job IS 'Queue one delivery of a job and return its id';
