"""What the role of reports can't do, on real connections, and what nobody can keep it from."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from jobhub.postgres.reporting_role import CONNECTION_LIMIT, ROLE, SETTINGS
from tests import factories
from tests.databases import Databases, as_url
from tests.reporting import role, set_up_reader

pytestmark = pytest.mark.xdist_group("reporting_role")

DENIED = psycopg.errors.InsufficientPrivilege
# What it tries, also after it has switched its transactions back to read and write.
REFUSED = [
    "SELECT * FROM public.jobs",
    "SELECT id FROM public.users",
    "SELECT * FROM public.job_attempts",
    "SELECT * FROM public.audit_log",
    "SELECT * FROM public.job_stats",
    "SELECT * FROM public.job_stat_spans",
    "SELECT * FROM public.procrastinate_jobs",
    "SELECT * FROM public.alembic_version",
    "INSERT INTO public.jobs DEFAULT VALUES",
    "UPDATE public.users SET role = 'admin'",
    "DELETE FROM public.jobs",
    "TRUNCATE public.claims",
    "UPDATE reporting.jobs_v1 SET attempt = 7",
    "DELETE FROM reporting.jobs_v1",
    "SELECT FROM reporting.jobs_v1 FOR UPDATE",
    "BEGIN; LOCK TABLE reporting.jobs_v1 IN ROW EXCLUSIVE MODE",
    "SELECT public.deliver_job(gen_random_uuid(), 'x', 'default', 0)",
    "SELECT public.deliver_jobs('{}', '{}', '{}', '{}')",
    "SELECT public.pending_jobs_of(gen_random_uuid(), 1)",
    "SELECT public.unhold_deliveries(0)",
    "SELECT public.procrastinate_defer_jobs_v1('{}')",
    "SELECT public.stat_bucket(1)",
    "SELECT nextval('public.claims_id_seq')",
    "SELECT setval('public.claims_id_seq', 1)",
    "CREATE TEMPORARY TABLE t ()",
    "CREATE TABLE public.t ()",
    "CREATE TABLE reporting.t ()",
    "CREATE VIEW reporting.v AS SELECT 1",
    "CREATE SCHEMA s",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "CREATE PUBLICATION p",
    "COMMENT ON VIEW reporting.jobs_v1 IS 'x'",
    "DROP VIEW reporting.failures_v1",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/hostname')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "LOAD 'auto_explain'",
    "SET ROLE pg_monitor",
    "SET ROLE pg_database_owner",
    "SET SESSION AUTHORIZATION postgres",
    "CREATE ROLE r",
    f"ALTER ROLE {ROLE} SUPERUSER",
    f"ALTER ROLE {ROLE} CONNECTION LIMIT 100",
    "ALTER SYSTEM SET fsync = off",
    "SET log_statement = 'all'",
    "CHECKPOINT",
    "SELECT pg_switch_wal()",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_stats_ext_exprs, pg_statistic",
    "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
]


@pytest.mark.parametrize("is_read_only", ["on", "off"])
def test_it_can_read_the_views_and_nothing_else(reader_dsn, sql, alice, is_read_only):
    factories.make_job(sql, alice, status="running")
    done = {}
    errors = (DENIED, psycopg.errors.ReadOnlySqlTransaction) if is_read_only == "on" else DENIED

    for statement in REFUSED:
        with psycopg.connect(reader_dsn, autocommit=True) as reader:
            reader.execute(f"SET default_transaction_read_only = {is_read_only}")
            try:
                done[statement] = reader.execute(statement).statusmessage
            except errors:
                continue

    assert done == {}


def test_it_does_not_end_statements_of_others(reader, sql):
    with pytest.raises(DENIED):
        reader.execute("SELECT pg_terminate_backend(%s)", [sql.info.backend_pid])
    with pytest.raises(DENIED):
        reader.execute("SELECT pg_cancel_backend(%s)", [sql.info.backend_pid])
    row = reader.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [sql.info.backend_pid]).fetchone()

    assert row.query == "<insufficient privilege>"


def test_each_session_is_limited(reader):
    shown = {name: reader.execute(f"SHOW {name}").fetchone()[0] for name in SETTINGS}

    assert shown == SETTINGS
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("SELECT lo_create(0)" if reader.info.server_version >= 160_000 else "NOTIFY x; CREATE TABLE t ()")


def test_a_report_that_takes_too_long_is_ended(reader):
    reader.execute("SET statement_timeout = '50ms'")

    with pytest.raises(psycopg.errors.QueryCanceled):
        reader.execute("SELECT count(*) FROM reporting.jobs_v1, generate_series(1, 1000000000)")
        reader.execute("SELECT pg_sleep(10)")


def test_there_are_only_so_many_of_its_connections(reader_dsn):
    held = [psycopg.connect(reader_dsn) for _ in range(CONNECTION_LIMIT)]
    try:
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(reader_dsn)
    finally:
        for connection in held:
            connection.close()


# docs/reporting.md says so: whoever must be kept from these gets a server of their own, a replica or a copy.
NOT_FORBIDDEN = [
    ("take as long as it likes", "SET statement_timeout = 0"),
    ("the same for its next sessions", f"ALTER ROLE {ROLE} SET statement_timeout = 0"),
    ("take advisory locks", "SELECT pg_advisory_lock(1)"),
    ("wake workers", "SELECT pg_notify('procrastinate_queue_v1#default', '')"),
    ("make large objects", "SELECT lo_create(0)"),
    ("read the names and the code of what it can't use", "SELECT prosrc FROM pg_proc WHERE proname = 'deliver_jobs'"),
    ("change its own password", f"ALTER ROLE {ROLE} PASSWORD NULL"),
]


@pytest.mark.parametrize("statement", [statement for _, statement in NOT_FORBIDDEN], ids=[name for name, _ in NOT_FORBIDDEN])
def test_what_postgresql_lets_every_role_do_is_known_and_put_right_by_the_next_call(reader, dsn, statement):
    before = role(dsn)
    try:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute(statement)
    finally:
        set_up_reader(dsn)

    assert role(dsn) == before


def test_in_another_database_it_finds_nothing_of_ours(reader_dsn, databases: Databases):
    with databases.create() as (name, _):
        elsewhere = as_url(conninfo_to_dict(reader_dsn) | {"dbname": name})
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            found = connection.execute("SELECT to_regclass('reporting.jobs_v1'), current_setting('statement_timeout')").fetchone()

    assert found == (None, "2min")
