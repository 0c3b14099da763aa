-- Indexes that clean-ups left nearly empty. REINDEX and DROP INDEX CONCURRENTLY take no parameters and no transaction: `store.indexes` writes them.

-- name: list_bloated_indexes
-- Large indexes of jobs and attempts that are nearly empty: a page of an index is freed once nothing is on it, so a few jobs that stay keep
-- the pages of all that went. An entry takes 40 to 150 bytes; one that takes 400 is told.
-- params:  index_bytes: no smaller index is
-- returns: one row per index, the largest first: name as SQL writes it, bytes, rows of its table, is_ours: whether we may make it anew
-- test:    tests/services/test_reindexing.py
SELECT
    indexes.oid::regclass::text AS name,
    pg_relation_size(indexes.oid) AS bytes,
    tables.reltuples::bigint AS rows,
    pg_has_role(indexes.relowner, 'USAGE') AS is_ours
FROM pg_index
INNER JOIN pg_class AS indexes ON pg_index.indexrelid = indexes.oid
INNER JOIN pg_class AS tables ON pg_index.indrelid = tables.oid
WHERE tables.oid IN ('jobs'::regclass, 'job_attempts'::regclass, 'tagged_jobs'::regclass)
    AND indexes.relam = (SELECT pg_am.oid FROM pg_am WHERE pg_am.amname = 'btree')
    AND pg_index.indisvalid
    AND tables.reltuples >= 0
    AND pg_relation_size(indexes.oid) > greatest(:index_bytes::bigint, 400 * tables.reltuples)
ORDER BY pg_relation_size(indexes.oid) DESC
LIMIT 100;

-- name: list_unfinished_indexes
-- What a REINDEX CONCURRENTLY left behind that was given up: each write still goes to it, and nothing reads it.
-- returns: one row per index: name as SQL writes it, is_ours: whether we may drop it
-- test:    tests/services/test_reindexing.py
SELECT indexes.oid::regclass::text AS name, pg_has_role(indexes.relowner, 'USAGE') AS is_ours
FROM pg_index
INNER JOIN pg_class AS indexes ON pg_index.indexrelid = indexes.oid
WHERE pg_index.indrelid IN ('jobs'::regclass, 'job_attempts'::regclass, 'tagged_jobs'::regclass)
    AND NOT pg_index.indisvalid
    AND indexes.relname ~ '_cc(new|old)[0-9]*$'
ORDER BY indexes.relname
LIMIT 100;

-- name: limit_lock_waits
-- What this session runs waits so long for a lock, and for transactions that must end first; it may take any time otherwise.
-- params:  seconds
-- returns: one row
SELECT
    set_config('lock_timeout', (:seconds::float8 * 1000)::bigint::text, false) AS lock_timeout,
    set_config('statement_timeout', '0', false) AS statement_timeout,
    -- PostgreSQL 17 has it.
    (SELECT set_config(pg_settings.name, '0', false) FROM pg_settings WHERE pg_settings.name = 'transaction_timeout') AS transaction_timeout;
