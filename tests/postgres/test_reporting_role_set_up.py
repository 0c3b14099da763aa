"""The role of reports is made, put right, and refused where it could do more than it should."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from jobhub.domain.errors import OperatorError
from jobhub.postgres import reporting_role
from jobhub.postgres.reporting_role import ROLE, set_up_reporting_role
from tests.databases import as_url
from tests.reporting import PASSWORD, role, set_up_reader

pytestmark = pytest.mark.xdist_group("reporting_role")

DENIED = psycopg.errors.InsufficientPrivilege


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
    for row in sql.execute(
        "SELECT oid::regprocedure::text AS it FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'jobhub'::regnamespace)"
    ).fetchall():
        sql.execute(f"ALTER FUNCTION {row.it} OWNER TO {name}")
    for schema in ("reporting", "jobhub"):
        sql.execute(f"ALTER SCHEMA {schema} OWNER TO {name}")
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
