-- What the database says of itself.

-- name: schema_revision_table
-- Whether any migration was ever applied.
-- returns: one row
SELECT to_regclass('alembic_version') IS NOT NULL AS present;

-- name: schema_revision
-- The number of the last migration. The table is Alembic's.
-- returns: at most one row
SELECT version_num AS revision FROM alembic_version LIMIT 1;

-- name: waits_for_lock
-- Whether the statement of another session of ours is waiting for a lock.
-- params:  pid
-- returns: one row, or none if that session has ended
-- test:    tests/store/test_listing.py
SELECT coalesce(wait_event_type = 'Lock', false) AS waits FROM pg_stat_activity WHERE pid = :pid::integer;

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
        'claims_of_worker_idx', 'jobs_unsuccessful_of_owner_idx', 'jobs_unsuccessful_idx', 'jobs_of_owner_by_type_idx', 'jobs_by_type_idx',
        'tagged_jobs_newest_idx'
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

-- name: server_clock
-- The server's version and its clock, which may be read within a transaction.
-- returns: one row: version, version_number, is_replica, now
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    pg_is_in_recovery() AS is_replica,
    clock_timestamp() AS now;

-- name: list_worker_versions
-- Which versions of jobhub the live workers are.
-- returns: one row per version: version, workers
SELECT workers.version, count(*) AS workers
FROM workers
WHERE workers.lease_until > now()
GROUP BY workers.version
ORDER BY workers.version
LIMIT 100;

-- name: list_vacuum_faults
-- What keeps PostgreSQL from tidying up behind the queue, or shows that it doesn't.
-- params:  open_seconds, dead_rows: from how long an open transaction, and how many dead rows, is a fault
-- returns: one row per fault: fault, a sentence that says what to do; none if all is well
SELECT
    format(
        'a transaction is open for %s (process %s, %s): nothing that changed since can be tidied up; end it with SELECT pg_terminate_backend(%s)',
        date_trunc('second', now() - activity.xact_start), activity.pid, coalesce(nullif(activity.application_name, ''), 'no name'), activity.pid
    ) AS fault
FROM pg_stat_activity AS activity
WHERE activity.datname = current_database()
    AND activity.xact_start < now() - make_interval(secs => :open_seconds::float8)
    AND activity.pid <> pg_backend_pid()
UNION ALL
SELECT
    format(
        '%s has %s dead rows beside %s live ones: let autovacuum work harder (autovacuum_vacuum_cost_limit, autovacuum_max_workers) and run VACUUM %s',
        tables.relname, tables.n_dead_tup, tables.n_live_tup, tables.relname
    )
FROM pg_stat_user_tables AS tables
WHERE tables.relid IN ('jobs'::regclass, 'job_attempts'::regclass, 'procrastinate_jobs'::regclass, 'claims'::regclass)
    AND tables.n_dead_tup > greatest(:dead_rows::bigint, tables.n_live_tup)
ORDER BY fault
LIMIT 100;
