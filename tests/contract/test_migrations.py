"""Every way to the newest schema leads to the same one."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from jobhub.domain.errors import OperatorError
from jobhub.postgres.files import migration_files, newest_revision
from jobhub.postgres.migrations import current_revision, migrate

REVISIONS = [path.name[:4] for path in migration_files()]

# Everything that makes a schema, as text: columns, constraints, indexes, functions, triggers, enum labels, comments.
SCHEMA = """
SELECT 'column', table_name, column_name, data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'function', proname, pg_get_function_identity_arguments(oid), pg_get_functiondef(oid)
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'label', typname, enumlabel, enumsortorder::text FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
UNION ALL
SELECT 'comment', objoid::regclass::text, objsubid::text, description FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid > 16384
UNION ALL
SELECT 'view', schemaname, viewname, definition FROM pg_views WHERE schemaname IN ('public', 'reporting')
UNION ALL
SELECT 'option', relname, 'reloptions', array_to_string(reloptions, ',') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
ORDER BY 1, 2, 3, 4
"""


def schema(dsn: str) -> list[tuple[str, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(SCHEMA).fetchall()


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_database_at_an_earlier_revision_ends_with_the_schema_of_a_new_one(dsn, empty_dsn, revision):
    first = migrate(empty_dsn, target=revision)
    assert current_revision(empty_dsn) == revision

    rest = migrate(empty_dsn)

    assert first + rest == [path.name for path in migration_files()]
    assert schema(empty_dsn) == schema(dsn)


def test_migrating_twice_changes_nothing(dsn):
    before = schema(dsn)

    assert migrate(dsn) == []
    assert schema(dsn) == before
    assert current_revision(dsn) == newest_revision()


def test_two_at_once_apply_each_file_once(empty_dsn, dsn):
    with ThreadPoolExecutor(2) as threads:
        applied = list(threads.map(lambda _: migrate(empty_dsn), range(2)))

    assert sorted(applied, key=len) == [[], [path.name for path in migration_files()]]
    assert schema(empty_dsn) == schema(dsn)


def test_an_ordinary_owner_of_the_database_can_migrate_it(empty_dsn, sql):
    database = psycopg.conninfo.conninfo_to_dict(empty_dsn)["dbname"]
    owner = f"owner_of_{database}"
    sql.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'owner'")
    sql.execute(f"ALTER DATABASE {database} OWNER TO {owner}")
    try:
        applied = migrate(psycopg.conninfo.make_conninfo(empty_dsn, user=owner, password="owner"))
    finally:
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
            connection.execute(f"DROP OWNED BY {owner} CASCADE")
            connection.execute(f"DROP ROLE {owner}")

    assert applied == [path.name for path in migration_files()]


def test_a_schema_newer_than_the_program_is_refused(dsn, sql):
    sql.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(OperatorError, match="install a newer jobhub"):
        migrate(dsn)


def test_a_failing_file_leaves_nothing_behind(empty_dsn, monkeypatch, tmp_path):
    bad = tmp_path / "0002_bad.sql"
    bad.write_text("CREATE TABLE half_done (id int); SELECT 1 / 0;")
    monkeypatch.setattr("jobhub.postgres.migrations.migration_files", lambda: (migration_files()[0], bad))
    monkeypatch.setattr("jobhub.postgres.migrations.newest_revision", lambda: "0002")

    with pytest.raises(Exception, match="division by zero"):
        migrate(empty_dsn)

    assert current_revision(empty_dsn) == "0001"
    assert "half_done" not in {row[1] for row in schema(empty_dsn)}


def test_a_table_in_use_is_said_and_the_next_try_goes_on(empty_dsn, monkeypatch):
    monkeypatch.setattr("jobhub.postgres.migrations._LOCK_TIMEOUT", "100ms")
    migrate(empty_dsn, target="0012")

    with psycopg.connect(empty_dsn) as connection:
        connection.execute("SELECT FROM jobs")
        with pytest.raises(OperatorError, match=r"0015_retention.sql changed nothing.*lock timeout.*run `jobhub migrate` again"):
            migrate(empty_dsn)

    assert current_revision(empty_dsn) == "0014"
    assert migrate(empty_dsn)[0] == "0015_retention.sql"


def test_every_table_and_column_of_ours_is_commented(sql):
    missing = sql.execute(
        """
        SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
            AND relname NOT LIKE 'procrastinate%' AND relname <> 'alembic_version'
            AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid, 'pg_class') IS NULL)
        """
    ).fetchall()

    assert missing == []


def test_deliveries_from_before_the_limits_are_counted_for_their_owners(empty_dsn):
    migrate(empty_dsn, target="0007")
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, delivery_id)
            SELECT given.id, given.owner_id, 'test.echo', 'default', 'x', '{}', now(), deliver_job(given.id, 'test.echo', 'default', 0)
            FROM (SELECT gen_random_uuid() AS id, gen_random_uuid() AS owner_id FROM generate_series(1, 3)) AS given
            """
        )

        migrate(empty_dsn)

        counts = connection.execute("SELECT jobs_pending FROM jobs, pending_jobs_of(jobs.owner_id, 10)").fetchall()
    assert counts == [(1,)] * 3
