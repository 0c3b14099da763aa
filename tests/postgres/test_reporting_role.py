"""The role of reports, on real connections: what it can't do, what nobody can keep it from, and how it is made and put right."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from jobhub.domain.errors import OperatorError
from jobhub.postgres import reporting_role
from jobhub.postgres.reporting_role import CONNECTION_LIMIT, ROLE, SETTINGS, set_up_reporting_role
from tests import factories
from tests.databases import Databases, as_url
from tests.reporting import PASSWORD, set_up_reader

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


def role(dsn: str) -> tuple:
    """The role as the catalog has it."""
    with psycopg.connect(dsn, row_factory=psycopg.rows.namedtuple_row) as connection:
        return connection.execute(
            "SELECT rolcanlogin, rolconnlimit, ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = pg_roles.oid"
            " AND setdatabase = 0 ORDER BY 1) AS settings FROM pg_roles WHERE rolname = %s",
            [ROLE],
        ).fetchone()


def rights(dsn: str) -> list[tuple]:
    """All rights on anything in this database, whoever has them."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT relname, relacl::text FROM pg_class WHERE relacl IS NOT NULL"
            " AND relnamespace IN ('public'::regnamespace, 'reporting'::regnamespace)"
            " UNION ALL SELECT proname, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proacl IS NOT NULL"
            " UNION ALL SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname IN ('jobhub', 'public', 'reporting')"
            " UNION ALL SELECT 'database', datacl::text FROM pg_database WHERE datname = current_database() ORDER BY 1, 2"
        ).fetchall()


def test_making_it_twice_changes_nothing(reader_dsn, dsn):
    before = role(dsn), rights(dsn)

    set_up_reader(dsn)

    assert (role(dsn), rights(dsn)) == before


def test_what_was_granted_or_changed_since_is_put_right(reader_dsn, dsn, sql):
    sql.execute("CREATE SCHEMA IF NOT EXISTS jobhub; REVOKE ALL ON SCHEMA jobhub FROM PUBLIC")
    before = role(dsn), rights(dsn)
    for change in (
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}",
        f"GRANT SELECT (email) ON users TO {ROLE}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
        f"GRANT EXECUTE ON FUNCTION unhold_deliveries TO {ROLE}",
        f"GRANT ALL ON SCHEMA jobhub, public, reporting TO {ROLE}",
        f"GRANT ALL ON reporting.jobs_v1, reporting.owners_private_v1 TO {ROLE}",
        f"GRANT ALL ON DATABASE {sql.info.dbname} TO {ROLE}",
        f"GRANT TEMPORARY ON DATABASE {sql.info.dbname} TO PUBLIC",
        "GRANT ALL ON SCHEMA public TO PUBLIC",
        f"ALTER ROLE {ROLE} NOLOGIN CONNECTION LIMIT -1",
        f"ALTER ROLE {ROLE} SET statement_timeout = 0",
        f"ALTER ROLE {ROLE} RESET search_path",
    ):
        sql.execute(change)

    set_up_reader(dsn)

    assert (role(dsn), rights(dsn)) == before


def test_what_could_be_read_some_other_way_is_refused_and_said(reader_dsn, dsn, sql):
    sql.execute("CREATE SCHEMA IF NOT EXISTS jobhub; GRANT USAGE ON SCHEMA jobhub TO PUBLIC")
    sql.execute("GRANT SELECT ON users TO PUBLIC")
    sql.execute(f"GRANT pg_monitor TO {ROLE}")
    sql.execute(f"ALTER ROLE {ROLE} CREATEROLE")
    try:
        with pytest.raises(OperatorError) as refused:
            set_up_reader(dsn)
    finally:
        sql.execute(f"ALTER ROLE {ROLE} NOCREATEROLE")
        sql.execute(f"REVOKE pg_monitor FROM {ROLE}")

    assert str(refused.value).startswith("Nothing was changed, because jobhub_report could still do what it must not: ")
    for remedy in (
        f"REVOKE ALL ON users FROM {ROLE}, PUBLIC",
        "REVOKE ALL ON SCHEMA jobhub FROM PUBLIC",
        f"REVOKE pg_monitor FROM {ROLE}",
        f"ALTER ROLE {ROLE} NOSUPERUSER",
    ):
        assert remedy in str(refused.value)


@pytest.fixture
def no_role(sql) -> None:
    """As on a server where nobody has made it yet; nothing else on this server may depend on it."""
    if sql.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).rowcount:
        sql.execute(f"DROP OWNED BY {ROLE}")
        sql.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def owner_dsn(dsn, sql) -> Iterator[str]:
    """The database as a plain role that owns it and everything in it, and may not make roles."""
    name, database = f"owner_{os.getpid()}", sql.info.dbname
    sql.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    sql.execute(f"ALTER DATABASE {database} OWNER TO {name}")
    for row in sql.execute("SELECT oid::regclass::text AS it FROM pg_class WHERE relnamespace = 'reporting'::regnamespace").fetchall():
        sql.execute(f"ALTER VIEW {row.it} OWNER TO {name}")
    for row in sql.execute(
        "SELECT oid::regclass::text AS it, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
    ).fetchall():
        sql.execute(f"ALTER {'VIEW' if row.relkind == 'v' else 'TABLE'} {row.it} OWNER TO {name}")
    for row in sql.execute("SELECT oid::regprocedure::text AS it FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall():
        sql.execute(f"ALTER FUNCTION {row.it} OWNER TO {name}")
    sql.execute(f"ALTER SCHEMA reporting OWNER TO {name}")
    yield as_url(conninfo_to_dict(dsn) | {"user": name, "password": PASSWORD})
    sql.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
    sql.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
    sql.execute(f"DROP OWNED BY {name}")
    sql.execute(f"DROP ROLE {name}")


def test_an_owner_who_may_not_make_roles_is_told_what_to_let_run_and_then_can(no_role, owner_dsn, sql):
    with pytest.raises(OperatorError, match="may not make or change the role jobhub_report") as refused:
        set_up_reporting_role(owner_dsn, may_read_private=False, password=None)
    for statement in str(refused.value).partition("call again: ")[2].split("; "):
        sql.execute(statement)

    views = set_up_reporting_role(owner_dsn, may_read_private=False, password=None)

    sql.execute(f"SET ROLE {ROLE}")
    for view in views:
        sql.execute(f"SELECT count(*) FROM reporting.{view}")
    sql.execute("RESET ROLE")
    with pytest.raises(OperatorError, match=r"call again without a password: \\password jobhub_report"):
        set_up_reporting_role(owner_dsn, may_read_private=False, password=PASSWORD)


def test_somebody_who_owns_nothing_here_is_told_so(reader_dsn, dsn, sql):
    name = f"somebody_{os.getpid()}"
    sql.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    try:
        with pytest.raises(OperatorError, match="Only the owner of the database"):
            set_up_reporting_role(
                as_url(conninfo_to_dict(dsn) | {"user": name, "password": PASSWORD}), may_read_private=False, password=None
            )
    finally:
        sql.execute(f"DROP ROLE {name}")


def test_roles_that_have_rights_here_keep_what_they_had_as_everybody(dsn, sql):
    keeper, stranger = f"keeper_{os.getpid()}", f"stranger_{os.getpid()}"
    sql.execute(f"CREATE ROLE {keeper}")
    sql.execute(f"CREATE ROLE {stranger}")
    try:
        sql.execute(f"GRANT SELECT ON workers TO {keeper}")

        set_up_reader(dsn)

        sql.execute(f"SET ROLE {keeper}")
        sql.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM workers")
        sql.execute(f"RESET ROLE; SET ROLE {stranger}")
        with pytest.raises(DENIED):
            sql.execute("SELECT FROM public.workers")
    finally:
        sql.execute(f"RESET ROLE; DROP OWNED BY {keeper}; DROP ROLE {keeper}; DROP ROLE {stranger}")


def test_a_new_role_has_no_password_and_one_that_is_there_keeps_its_own(no_role, dsn, sql):
    def verifier() -> str | None:
        return sql.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [ROLE]).fetchone()[0]

    set_up_reporting_role(dsn, may_read_private=False, password=None)
    assert verifier() is None
    set_up_reporting_role(dsn, may_read_private=False, password=PASSWORD)
    given = verifier()
    set_up_reporting_role(dsn, may_read_private=False, password=None)

    assert given.startswith("SCRAM-SHA-256$")
    assert verifier() == given


def test_a_short_password_and_a_database_that_is_away_are_refused(dsn):
    with pytest.raises(OperatorError, match="at least 12 bytes"):
        set_up_reporting_role(dsn, may_read_private=False, password="short")
    with pytest.raises(OperatorError, match="can't be reached"):
        set_up_reporting_role("postgresql://nobody@127.0.0.1:1/nothing", may_read_private=False, password=None)


def test_the_password_is_never_sent_in_the_clear(dsn, monkeypatch):
    statements: list[str] = []
    real = psycopg.Connection.execute

    def noting(self, query, *arguments, **options):
        statements.append(query.as_string(self) if hasattr(query, "as_string") else str(query))
        return real(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", noting)

    reporting_role.set_up_reporting_role(dsn, may_read_private=False, password=PASSWORD)

    assert any("PASSWORD" in statement for statement in statements)
    assert not any(PASSWORD in statement for statement in statements)


def migrate(dsn: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobhub", "migrate", *arguments],
        env=os.environ | {"JOBHUB_DATABASE_URL": dsn},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_makes_it_after_migrating_and_says_what_it_reads(empty_dsn):
    first = migrate(empty_dsn, "--reporting-role", "--password-stdin", stdin=f"{PASSWORD}\n")
    second = migrate(empty_dsn, "--reporting-role", "--reporting-private")

    assert first.stdout.splitlines()[-1] == "role jobhub_report reads 12 views, none of them private", first.stderr
    assert first.stdout.startswith("applied 0001")
    assert second.stdout == "role jobhub_report reads 15 views, private ones too\n", second.stderr
    with psycopg.connect(as_url(conninfo_to_dict(empty_dsn) | {"user": ROLE, "password": PASSWORD})) as connection:
        connection.execute("SELECT * FROM owners_private_v1")


@pytest.mark.parametrize("option", ["--reporting-private", "--password-stdin"])
def test_options_of_the_role_without_it_are_refused(empty_dsn, option):
    done = migrate(empty_dsn, option)

    assert (done.returncode, done.stdout) == (2, "")
    assert "go with --reporting-role" in done.stderr


def test_a_short_password_is_refused_before_anything_is_done(empty_dsn, sql):
    done = migrate(empty_dsn, "--reporting-role", "--password-stdin", stdin="\n")

    assert done.returncode == 1
    assert "jobhub: The password of jobhub_report must have at least 12 bytes." in done.stderr
