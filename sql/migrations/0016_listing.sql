-- What lets every filter of a list lead to its rows, however long the history (docs/decisions/0020-lists.md), and counters of failed
-- logins by account and network.
-- locks: ACCESS EXCLUSIVE on jobs, which is written anew for the generated column: some seconds per million rows. Then its new indexes and
--        the tags of what is there, as long again. On login_failures for an instant.
-- An older version goes on working: column and tags are kept by the database.

-- No index may mention status, which every job changes at the claim and at the finish: neither update would be heap-only any more. What is
-- compared for that are the values of indexed columns, and this one's only changes for a job that fails, is cancelled or is retried.
ALTER TABLE jobs
-- squawk-ignore adding-field-with-default
ADD COLUMN unsuccessful_status job_status GENERATED ALWAYS AS (CASE WHEN status IN ('failed', 'cancelled') THEN status END) STORED;
COMMENT ON COLUMN jobs.unsuccessful_status IS 'Its status as long as that is failed or cancelled, else null: what an index may know of it';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_unsuccessful_of_owner_idx ON jobs (owner_id, unsuccessful_status, created_at DESC, id DESC)
INCLUDE (job_type) WHERE unsuccessful_status IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_unsuccessful_idx ON jobs (unsuccessful_status, created_at DESC, id DESC)
INCLUDE (job_type) WHERE unsuccessful_status IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_of_owner_by_type_idx ON jobs (owner_id, job_type, created_at DESC, id DESC);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_by_type_idx ON jobs (job_type, created_at DESC, id DESC);

-- For searches in titles. The extension comes with PostgreSQL, and whoever may create in the database may install it; without it such a
-- search walks. A short list of pending entries, because a submit that finds it full has to sort it in.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXECUTE (
        SELECT format('CREATE INDEX jobs_title_idx ON jobs USING gin (title %I.gin_trgm_ops) WITH (gin_pending_list_limit = 512)', nspname)
        FROM pg_extension INNER JOIN pg_namespace ON pg_extension.extnamespace = pg_namespace.oid
        WHERE extname = 'pg_trgm'
    );
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR duplicate_function THEN
    RAISE NOTICE 'No index for searches in titles: %', SQLERRM;
END;
$$;

-- In the order of lists too.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX jobs_scheduled_of_owner_idx;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_scheduled_of_owner_idx ON jobs (owner_id, created_at DESC, id DESC) WHERE deliver_at IS NOT NULL;

-- coalesce: the jobs are few and known by their ids, and a plan by way of all jobs of their owners, made when there were none, may be kept.
CREATE OR REPLACE FUNCTION running_jobs_of(user_ids uuid []) RETURNS TABLE (owner_id uuid, jobs_running bigint) LANGUAGE sql STABLE AS $$
    SELECT jobs.owner_id, count(*)
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims))
        AND coalesce(jobs.status = 'running' AND jobs.owner_id = ANY(user_ids), false)
    GROUP BY jobs.owner_id
$$;

CREATE TABLE tagged_jobs (
    owner_id uuid NOT NULL,
    tag text NOT NULL,
    created_at timestamptz NOT NULL,
    job_id uuid NOT NULL,
    PRIMARY KEY (owner_id, tag, created_at, job_id)
);

COMMENT ON TABLE tagged_jobs IS 'jobs.tags once more, a row each, in the order lists are read; kept by triggers of jobs';
COMMENT ON COLUMN tagged_jobs.owner_id IS 'jobs.owner_id';
COMMENT ON COLUMN tagged_jobs.tag IS 'One of jobs.tags';
COMMENT ON COLUMN tagged_jobs.created_at IS 'jobs.created_at';
COMMENT ON COLUMN tagged_jobs.job_id IS 'jobs.id';

INSERT INTO tagged_jobs (owner_id, tag, created_at, job_id)
SELECT DISTINCT jobs.owner_id, tag, jobs.created_at, jobs.id FROM jobs CROSS JOIN unnest(jobs.tags) AS tag;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tagged_jobs_newest_idx ON tagged_jobs (tag, created_at, job_id);

CREATE FUNCTION keep_tagged_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM tagged_jobs
        WHERE tagged_jobs.owner_id = old.owner_id
            AND tagged_jobs.tag = ANY(old.tags)
            AND tagged_jobs.created_at = old.created_at
            AND tagged_jobs.job_id = old.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO tagged_jobs (owner_id, tag, created_at, job_id)
        SELECT DISTINCT new.owner_id, tag, new.created_at, new.id FROM unnest(new.tags) AS tag;
    END IF;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION keep_tagged_jobs IS 'Trigger of jobs: tagged_jobs says what jobs.tags says';

-- Row by row, for their conditions: a job without tags costs nothing. None of these columns is in the SET of any statement of the program.
CREATE TRIGGER jobs_insert_tags AFTER INSERT ON jobs
FOR EACH ROW WHEN (new.tags <> '{}') EXECUTE FUNCTION keep_tagged_jobs();
CREATE TRIGGER jobs_update_tags AFTER UPDATE OF id, owner_id, tags, created_at ON jobs
FOR EACH ROW EXECUTE FUNCTION keep_tagged_jobs();
CREATE TRIGGER jobs_delete_tags AFTER DELETE ON jobs
FOR EACH ROW WHEN (old.tags <> '{}') EXECUTE FUNCTION keep_tagged_jobs();

-- Whoever guesses from one network must not keep the owner of an account out everywhere (docs/decisions/0021-guessing.md). The growing wait
-- is for an account from a network; login_failures, which made everybody wait, has a limit for the account from all networks together.
CREATE TABLE login_failures_by_account_and_network (
    email_sha256 bytea NOT NULL,
    network cidr NOT NULL,
    failures integer NOT NULL,
    last_failed_at timestamptz NOT NULL,
    PRIMARY KEY (email_sha256, network),
    CONSTRAINT login_failures_by_account_and_network_failures_check CHECK (failures > 0)
);

COMMENT ON TABLE login_failures_by_account_and_network IS 'Failed logins in a row by e-mail address, known or not, and client, so that guessing gets slower and slower';
COMMENT ON COLUMN login_failures_by_account_and_network.email_sha256 IS 'SHA-256 of the lower-case address that was tried';
COMMENT ON COLUMN login_failures_by_account_and_network.network IS 'An IPv4 address, or the /64 an IPv6 address is in; 0.0.0.0/0 for clients without one';
COMMENT ON COLUMN login_failures_by_account_and_network.failures IS 'Failures since the last success, or since a day without any';
COMMENT ON COLUMN login_failures_by_account_and_network.last_failed_at IS 'When the latest of them happened';

-- Code of an older version goes on with it as before: it makes the account wait everywhere.
ALTER TABLE login_failures
ADD COLUMN since timestamptz NOT NULL DEFAULT now(),
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT login_failures_failures_check,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT login_failures_failures_check CHECK (failures >= 0);

COMMENT ON TABLE login_failures IS 'Failed logins within an hour by e-mail address, known or not, wherever they came from';
COMMENT ON COLUMN login_failures.failures IS 'Failures since then, and logins that are being checked';
COMMENT ON COLUMN login_failures.since IS 'The first of them; an hour later the count starts anew';
