-- Submitting a job from anywhere that speaks SQL, in the caller's own transaction (docs/submitting-with-sql.md).
-- locks: new objects only.

CREATE TABLE job_types (
    name text PRIMARY KEY,
    queue text NOT NULL,
    audience text NOT NULL,
    max_attempts integer NOT NULL,
    timeout_seconds double precision NOT NULL,
    summary text NOT NULL,
    parameters_schema jsonb NOT NULL,
    seen_at timestamptz NOT NULL,
    CONSTRAINT job_types_audience_check CHECK (audience IN ('user', 'admin')),
    CONSTRAINT job_types_max_attempts_check CHECK (max_attempts >= 1)
);

COMMENT ON TABLE job_types IS 'The job types workers know, as the latest of them described each: what submit_job() goes by';
COMMENT ON COLUMN job_types.name IS 'As in jobs.job_type';
COMMENT ON COLUMN job_types.queue IS 'The lane its jobs are delivered in';
COMMENT ON COLUMN job_types.audience IS 'Whose jobs may be of it: user, or admin for administrators'' only';
COMMENT ON COLUMN job_types.max_attempts IS 'How many failed attempts make a job fail';
COMMENT ON COLUMN job_types.timeout_seconds IS 'How long an attempt may take';
COMMENT ON COLUMN job_types.summary IS 'What it does, in a sentence';
COMMENT ON COLUMN job_types.parameters_schema IS 'JSON Schema of the parameters, checked by the API and the workers, not here';
COMMENT ON COLUMN job_types.seen_at IS 'When a worker last said that it knows it; at least every twenty minutes while one runs';

CREATE SCHEMA jobhub;
COMMENT ON SCHEMA jobhub IS 'What other programs may call';

-- RFC 9562: 48 bits of milliseconds, then a random UUID of version 4 whose version becomes 7. PostgreSQL has its own from 18 on.
CREATE FUNCTION jobhub.new_job_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ), 52, 1
        ), 53, 1), 'hex'
    )::uuid
$$;
COMMENT ON FUNCTION jobhub.new_job_id IS 'A UUIDv7';

-- Refuses what a submit over HTTP would refuse, but for the shape of the parameters, and knows no limits: who may call it is trusted.
-- SECURITY DEFINER: a program that submits jobs needs no right to any table.
CREATE FUNCTION jobhub.submit_job(
    owner text,
    job_type text,
    title text,
    parameters jsonb DEFAULT '{}',
    description text DEFAULT NULL,
    priority integer DEFAULT 0,
    scheduled_for timestamptz DEFAULT NULL,
    tags text [] DEFAULT '{}',
    idempotency_key text DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
#variable_conflict use_variable
DECLARE
    submitted_at constant timestamptz := clock_timestamp();  -- now() may be long ago: when the caller's transaction began
    new_id constant uuid := jobhub.new_job_id();
    known job_types;
    submitter users;
    body bytea;
    earlier idempotency_keys;
    is_due constant boolean := coalesce(scheduled_for, '-infinity') <= clock_timestamp();
    problem text;
BEGIN
    SELECT * INTO submitter FROM users
    WHERE users.id = CASE WHEN owner ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN owner::uuid END
        OR (lower(users.email) = lower(owner) AND upper(users.email) = upper(owner));
    IF submitter.id IS NULL THEN
        RAISE EXCEPTION 'there is no user %', quote_nullable(owner)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the id or the e-mail address of a user: jobhub users add.';
    END IF;
    SELECT * INTO known FROM job_types WHERE job_types.name = job_type;
    problem := CASE
        WHEN submitter.disabled_at IS NOT NULL THEN format('the user %s is disabled', owner)
        WHEN known.name IS NULL THEN format('no worker has ever known a job type %s', quote_nullable(job_type))
        WHEN known.audience = 'admin' AND submitter.role <> 'admin' THEN format('%s is for administrators, and %s is none', job_type, owner)
        WHEN title IS NULL OR btrim(title) = '' OR length(btrim(title)) > 200 OR title ~ '[[:cntrl:]]'
            THEN 'title must have 1 to 200 characters, none of them a control character'
        WHEN parameters IS NULL OR jsonb_typeof(parameters) <> 'object' THEN 'parameters must be a JSON object'
        WHEN octet_length(parameters::text) > 131072 THEN 'parameters may have at most 128 KiB'
        WHEN length(description) > 4000 THEN 'description may have at most 4,000 characters'
        WHEN priority IS NULL OR priority NOT BETWEEN -100 AND 100 THEN 'priority must be from -100 to 100'
        WHEN scheduled_for > submitted_at + interval '366 days' THEN 'scheduled_for may be at most a year ahead'
        WHEN tags IS NULL OR cardinality(tags) > 20 OR EXISTS (
            SELECT FROM unnest(tags) AS tag WHERE tag IS NULL OR tag = '' OR length(tag) > 64 OR tag ~ '[[:cntrl:]]'
        ) OR cardinality(tags) <> (SELECT count(DISTINCT tag) FROM unnest(tags) AS tag)
            THEN 'tags must be at most 20 different ones of 1 to 64 characters'
        WHEN idempotency_key !~ '^[!-~]{1,200}$' THEN 'idempotency_key must have 1 to 200 visible ASCII characters'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF idempotency_key IS NOT NULL THEN
        body := sha256(convert_to(jsonb_build_array(job_type, title, parameters, description, priority, scheduled_for, tags)::text, 'UTF8'));
        INSERT INTO idempotency_keys (owner_id, key, body_sha256, job_id, expires_at)
        VALUES (submitter.id, idempotency_key, body, new_id, now() + interval '24 h')
        ON CONFLICT (owner_id, key) DO UPDATE
        SET body_sha256 = excluded.body_sha256, job_id = excluded.job_id, created_at = now(), expires_at = excluded.expires_at
        WHERE idempotency_keys.expires_at <= now();
        IF NOT FOUND THEN
            SELECT * INTO earlier FROM idempotency_keys WHERE idempotency_keys.owner_id = submitter.id AND idempotency_keys.key = idempotency_key;
            IF earlier.body_sha256 IS DISTINCT FROM body THEN
                RAISE EXCEPTION 'the idempotency_key % stands for another job', quote_literal(idempotency_key)
                    USING ERRCODE = 'unique_violation', HINT = 'Use one key for one job, and a new one for the next.';
            END IF;
            RETURN earlier.job_id;
        END IF;
    END IF;
    INSERT INTO jobs (
        id, owner_id, job_type, queue, title, description, parameters, tags, priority, max_attempts,
        scheduled_for, due_at, deliver_at, delivery_id, created_at, updated_at
    )
    VALUES (
        new_id, submitter.id, job_type, known.queue, btrim(title), description, parameters, tags, priority, known.max_attempts,
        scheduled_for, greatest(submitted_at, scheduled_for),
        CASE WHEN NOT is_due THEN scheduled_for END,
        CASE WHEN is_due THEN deliver_job(new_id, job_type, known.queue, priority, submitter.id) END,
        submitted_at, submitted_at
    );
    RETURN new_id;
END;
$$;
COMMENT ON FUNCTION jobhub.submit_job IS 'Submit a job for a user (id or e-mail address) in the caller''s transaction; its id, or that of the job its idempotency_key stands for';

-- Temporary tables last, or whoever may call it could put one of theirs in the place of ours.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION jobhub.submit_job SET search_path = %I, pg_catalog, pg_temp', current_schema());
END;
$$;

REVOKE ALL ON FUNCTION jobhub.submit_job FROM PUBLIC;
REVOKE ALL ON FUNCTION jobhub.new_job_id FROM PUBLIC;
