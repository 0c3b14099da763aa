-- Who did what to which job or user.
-- locks: new objects only.

CREATE TABLE audit_log (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid,
    verb text NOT NULL,
    job_id uuid,
    user_id uuid,
    reason text,
    request_id text,
    details jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT audit_log_verb_check CHECK (verb ~ '^[a-z_]{1,40}$'),
    CONSTRAINT audit_log_reason_check CHECK (length(reason) <= 500)
);

CREATE INDEX audit_log_of_job_idx ON audit_log (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX audit_log_of_user_idx ON audit_log (user_id, id) WHERE user_id IS NOT NULL;

COMMENT ON TABLE audit_log IS 'One row per act of a person on a job or an account, written in the transaction of the act';
COMMENT ON COLUMN audit_log.id IS 'In the order of writing';
COMMENT ON COLUMN audit_log.at IS 'When it was done';
COMMENT ON COLUMN audit_log.actor_id IS 'users.id of who did it; null: the command line or jobhub itself';
COMMENT ON COLUMN audit_log.verb IS 'What was done: cancel, retry, force_complete, clean_up, create_user, change_user …';
COMMENT ON COLUMN audit_log.job_id IS 'The job it was done to, which may be cleaned up since';
COMMENT ON COLUMN audit_log.user_id IS 'The account it was done to';
COMMENT ON COLUMN audit_log.reason IS 'Why, in the words of who did it';
COMMENT ON COLUMN audit_log.request_id IS 'The request it was done by; the same id stands in the logs and in the response';
COMMENT ON COLUMN audit_log.details IS 'What else matters, such as the state before';

-- The log only grows. Retention, when it comes, will do it by dropping partitions.
CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows();
