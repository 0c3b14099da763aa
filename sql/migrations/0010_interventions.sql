-- Who stopped a job, or completed it by hand, and why, where its owner can read it. The audit log keeps who that was by name.
-- locks: ACCESS EXCLUSIVE on jobs for an instant.
-- Jobs that were cancelled before say nothing; the audit log does.

CREATE TYPE intervener AS ENUM ('owner', 'administrator');

ALTER TABLE jobs ADD COLUMN intervened_by intervener;
ALTER TABLE jobs ADD COLUMN intervention_reason text;

COMMENT ON COLUMN jobs.intervened_by IS 'In which role somebody cancelled it, asked it to stop, or completed it by hand; cleared by a manual retry';
COMMENT ON COLUMN jobs.intervention_reason IS 'Why, in the words of who did it';
