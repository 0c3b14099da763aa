-- What the database says of itself.

-- name: schema_revision_table
-- Whether any migration was ever applied.
-- returns: one row
SELECT to_regclass('alembic_version') IS NOT NULL AS present;

-- name: schema_revision
-- The number of the last migration. The table is Alembic's.
-- returns: at most one row
SELECT version_num AS revision FROM alembic_version LIMIT 1;

-- name: server_facts
-- What the server says of itself: its version as a number (150004 is 15.4), its clock now, and whether it is a replica, which takes no writes.
-- returns: one row
-- test:    tests/store/test_health.py
SELECT
    current_setting('server_version_num')::integer AS version_number, clock_timestamp() AS now, pg_is_in_recovery() AS is_replica;

-- name: list_setup_faults
-- What dispatch counts on, as sql/migrations/ made it, and somebody has changed since.
-- returns: one row per fault: fault, a sentence that says what to do; none if all is well
SELECT format('the trigger %I on %s fires for every job: ALTER TABLE %s DISABLE TRIGGER %I', tgname, tgrelid::regclass, tgrelid::regclass, tgname)
    AS fault
FROM pg_trigger
WHERE tgrelid = 'procrastinate_jobs'::regclass
    AND tgenabled <> 'D'
    AND tgname IN (
        'procrastinate_trigger_status_events_insert_v1',
        'procrastinate_trigger_delete_jobs_v1',
        'procrastinate_jobs_notify_queue_job_inserted_v1'
    )
UNION ALL
SELECT format('the index %s is missing or not valid: make it again as sql/migrations/ does', needed.name)
FROM unnest(
    ARRAY[
        'deliveries_best_idx', 'deliveries_held_idx', 'jobs_promote_idx', 'jobs_newest_idx', 'jobs_newest_of_owner_idx', 'jobs_finished_brin',
        'claims_of_worker_idx'
    ]
) AS needed (name)
LEFT JOIN pg_index ON pg_index.indexrelid = to_regclass(needed.name)
WHERE pg_index.indisvalid IS NOT TRUE
UNION ALL
SELECT format('autovacuum is switched off for %s: ALTER TABLE %s RESET (autovacuum_enabled)', pg_class.oid::regclass, pg_class.oid::regclass)
FROM pg_class
WHERE pg_class.oid IN ('jobs'::regclass, 'job_attempts'::regclass, 'procrastinate_jobs'::regclass, 'claims'::regclass, 'workers'::regclass)
    AND pg_class.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off']
UNION ALL
SELECT 'autovacuum is switched off for the whole server: ALTER SYSTEM SET autovacuum = on'
WHERE NOT current_setting('autovacuum')::boolean
ORDER BY fault
LIMIT 100;
