-- What is kept and what goes: pins, the hourly policy, and old entries of the audit log (docs/decisions/0019-retention.md).
-- locks: ACCESS EXCLUSIVE on jobs and audit_log for an instant, SHARE UPDATE EXCLUSIVE on job_attempts; else new objects.

ALTER TABLE jobs ADD COLUMN pinned_at timestamptz;
COMMENT ON COLUMN jobs.pinned_at IS 'Since when an administrator keeps it: no clean-up removes it; null: it is not pinned';

-- A clean-up of a twentieth is worth a vacuum: what it frees is filled again, and the tables stop growing.
ALTER TABLE job_attempts SET (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE upkeep (
    chore text PRIMARY KEY,
    began_at timestamptz NOT NULL,
    CONSTRAINT upkeep_chore_check CHECK (chore ~ '^[a-z_]{1,40}$')
);

COMMENT ON TABLE upkeep IS 'What one of all workers does now and then: whoever moves began_at does it';
COMMENT ON COLUMN upkeep.chore IS 'What: retention';
COMMENT ON COLUMN upkeep.began_at IS 'When somebody last began it';

-- Entries of the last 30 days can't be removed, and older ones only by remove_old_audit_entries().
DROP TRIGGER audit_log_only_grows ON audit_log;
CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows();
CREATE TRIGGER audit_log_keeps_its_entries BEFORE DELETE ON audit_log
FOR EACH ROW WHEN (
    old.at > now() - interval '30 days' OR current_setting('jobhub.removes_from', true) IS DISTINCT FROM 'audit_log'
)
EXECUTE FUNCTION audit_log_only_grows();

-- set_config() in its body, for only a superuser may give a function a setting of ours (SET in its definition).
CREATE FUNCTION remove_old_audit_entries(cutoff timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM set_config('jobhub.removes_from', 'audit_log', true);
    WITH oldest AS (
        SELECT entry.id, entry.at FROM audit_log AS entry ORDER BY entry.id LIMIT 1000
    )
    DELETE FROM audit_log
    WHERE audit_log.id = ANY(ARRAY(SELECT oldest.id FROM oldest WHERE oldest.at <= least(cutoff, now() - interval '30 days')));
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('jobhub.removes_from', '', true);
    RETURN removed;
END
$$;

COMMENT ON TABLE audit_log IS 'One row per act of a person on a job or an account, and per batch of a clean-up, written in the transaction of the act';
COMMENT ON COLUMN audit_log.verb IS 'What was done: cancel, retry, force_complete, pin, unpin, clean_up, create_user, change_user …';

COMMENT ON FUNCTION remove_old_audit_entries IS 'Remove those of the 1,000 oldest entries that are from before a time, at least 30 days ago; how many';
