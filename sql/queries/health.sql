-- What the database says of itself.

-- name: schema_revision_table
-- Whether any migration was ever applied.
-- returns: one row
SELECT to_regclass('alembic_version') IS NOT NULL AS present;

-- name: schema_revision
-- The number of the last migration. The table is Alembic's.
-- returns: at most one row
SELECT version_num AS revision FROM alembic_version LIMIT 1;
