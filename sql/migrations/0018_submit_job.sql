-- Submitting a job from SQL, in the caller's own transaction: from a trigger, or from a program in any language.
-- locks: new objects only.
-- It runs with the rights of who owns jobhub's tables, so that an application's role needs none but EXECUTE on it. What it may find is
-- set, temporary tables last: nobody can put a table of their own in the place of ours.

CREATE SCHEMA IF NOT EXISTS jobhub;
COMMENT ON SCHEMA jobhub IS 'What other programs may call; docs/submitting-from-sql.md';

CREATE FUNCTION jobhub.submit_job(
    owner text,
    job_type text,
    parameters jsonb DEFAULT '{}',
    title text DEFAULT NULL,
    description text DEFAULT NULL,
    priority integer DEFAULT 0,
    scheduled_for timestamptz DEFAULT NULL,
    tags text [] DEFAULT '{}',
    queue text DEFAULT 'default',
    max_attempts integer DEFAULT 1
) RETURNS uuid LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    submitted_at constant timestamptz := clock_timestamp();  -- now() may be long ago: when the caller's transaction began
    is_due constant boolean := coalesce(submit_job.scheduled_for, '-infinity') <= clock_timestamp();
    -- A UUIDv7: the milliseconds over the first 48 bits of a random one, and its version bits.
    new_id constant uuid := encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM submitted_at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1
        ), 53, 1),
        'hex'
    )::uuid;
    user_id uuid;
BEGIN
    IF submit_job.owner ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        SELECT users.id INTO user_id FROM users WHERE users.id = submit_job.owner::uuid AND users.disabled_at IS NULL;
    ELSE
        SELECT users.id INTO user_id FROM users WHERE lower(users.email) = lower(submit_job.owner) AND users.disabled_at IS NULL;
    END IF;
    IF user_id IS NULL THEN
        RAISE EXCEPTION 'There is no active account % to own the job.', coalesce(quote_literal(submit_job.owner), 'NULL')
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF submit_job.scheduled_for > submitted_at + interval '366 days' THEN
        RAISE EXCEPTION 'scheduled_for must be at most a year ahead.' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO jobs (
        id, owner_id, job_type, queue, title, description, parameters, tags, priority, max_attempts,
        scheduled_for, due_at, deliver_at, delivery_id, created_at, updated_at
    )
    VALUES (
        new_id, user_id, submit_job.job_type, submit_job.queue, coalesce(submit_job.title, submit_job.job_type), submit_job.description,
        submit_job.parameters, submit_job.tags, submit_job.priority, submit_job.max_attempts,
        submit_job.scheduled_for, greatest(submitted_at, submit_job.scheduled_for),
        CASE WHEN NOT is_due THEN submit_job.scheduled_for END,
        CASE WHEN is_due THEN deliver_job(new_id, submit_job.job_type, submit_job.queue, submit_job.priority, user_id) END,
        submitted_at, submitted_at
    );
    RETURN new_id;
END;
$$;

COMMENT ON FUNCTION jobhub.submit_job IS
'Submit a job for the account with this id or e-mail address, in the caller''s transaction; its id. Limits of the account don''t count, and parameters are checked when it runs';

-- Whoever may call it acts for every account.
REVOKE EXECUTE ON FUNCTION jobhub.submit_job FROM public;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION jobhub.submit_job SET search_path = %I, pg_catalog, pg_temp', current_schema());
END;
$$;
