"""The role that reports are read with: it may SELECT from the published views of the schema `reporting`, and do nothing else.

What it is lies in this file alone, and each call brings it there again. Not here: the views (sql/migrations/0014_reporting.sql), and what
PostgreSQL leaves to every role whatever is revoked (docs/reporting.md).
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from jobhub.domain.errors import OperatorError

Connection = psycopg.Connection[Any]

ROLE = "jobhub_report"
CONNECTION_LIMIT = 5  # three reports at once, and two who look what keeps theirs waiting
MIN_PASSWORD_BYTES = 12  # as for users
SETTINGS = {
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "30min",
    "lock_timeout": "5s",  # behind a migration's lock everybody else waits too
    "max_parallel_workers_per_gather": "0",  # one report, one core
    "search_path": "reporting",
    "statement_timeout": "2min",  # while it reads, nothing is cleaned up behind the workers
}
SETTINGS_SINCE_17 = {"transaction_timeout": "10min"}  # or one snapshot could be held by a short statement a minute
_OURS = ("jobhub", "public", "reporting")  # the schemas with something of ours, as far as this version has them
_LOCK = 7203641858  # any number nobody else uses, and not that of migrations


def set_up_reporting_role(dsn: str, *, may_read_private: bool, password: str | None) -> list[str]:
    """Make the role, or put it right; the names of the views it may read. One transaction: all of it, or nothing.

    A new role may log in and has no password; None keeps the one there is. PUBLIC loses TEMPORARY on the database and all rights on the
    schema `public`; roles that own anything in the database or were granted something there keep both.

    Raises:
        OperatorError: no connection, a password that is too short, rights that are not ours to give or to take.
    """
    if password is not None and len(password.encode()) < MIN_PASSWORD_BYTES:
        raise OperatorError(f"The password of {ROLE} must have at least {MIN_PASSWORD_BYTES} bytes.")
    try:
        with psycopg.connect(dsn, connect_timeout=10, row_factory=namedtuple_row) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            _bring_about(connection, _missing(connection), password)
            _keep_rights_of_others(connection)
            _take_from_public(connection)
            views = _grant(connection, may_read_private=may_read_private)
            if faults := _faults(connection, views):
                raise OperatorError(f"Nothing was changed, because {ROLE} could still do what it must not: {'; '.join(faults)}.")
            return views
    except psycopg.errors.InsufficientPrivilege as error:
        raise OperatorError(
            f"Only the owner of the database and of all in it can say what {ROLE} reads: {error.diag.message_primary}."
        ) from error
    except psycopg.OperationalError as error:
        raise OperatorError(f"The database can't be reached, or is busy: {str(error).strip()}") from error


def _missing(connection: Connection) -> list[str]:
    """The statements that make of what is there the role it should be."""
    settings = SETTINGS | (SETTINGS_SINCE_17 if connection.info.server_version >= 170_000 else {})
    row = connection.execute(
        "SELECT rolcanlogin AND rolconnlimit = %s AS fits,"
        " ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = pg_roles.oid AND setdatabase = 0) AS settings"
        " FROM pg_roles WHERE rolname = %s",
        [CONNECTION_LIMIT, ROLE],
    ).fetchone()
    there = set(row.settings) if row else set()
    verb = None if row and row.fits else "ALTER" if row else "CREATE"
    return [
        *([f"{verb} ROLE {ROLE} LOGIN CONNECTION LIMIT {CONNECTION_LIMIT}"] if verb else []),
        *(f"ALTER ROLE {ROLE} SET {name} = '{value}'" for name, value in settings.items() if f"{name}={value}" not in there),
    ]


def _bring_about(connection: Connection, statements: Sequence[str], password: str | None) -> None:
    by_hand = [*statements, *([f"\\password {ROLE}"] if password else [])]
    try:
        for statement in statements:
            connection.execute(statement.encode())
        if password:
            # Never in the clear: the server may log statements.
            verifier = connection.pgconn.encrypt_password(password.encode(), ROLE.encode()).decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(verifier)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise OperatorError(
            f"{connection.info.user} may not make or change the role {ROLE}. Let somebody who may run this in psql, and call again"
            f"{' without a password' if password else ''}: {'; '.join(by_hand)}"
        ) from error


def _keep_rights_of_others(connection: Connection) -> None:
    """Give whoever owns or was granted anything in this database, by name, what they had as everybody."""
    keepers = connection.execute(
        "SELECT rolname AS name, has_schema_privilege(pg_roles.oid, 'public', 'USAGE') AS may_use,"
        " has_schema_privilege(pg_roles.oid, 'public', 'CREATE') AS may_create,"
        " has_database_privilege(pg_roles.oid, current_database(), 'TEMPORARY') AS may_make_temporary"
        " FROM pg_roles WHERE NOT rolsuper AND rolname <> %s AND oid IN ("
        " SELECT refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a')"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        " ORDER BY rolname",
        [ROLE],
    ).fetchall()
    for keeper in keepers:
        name = sql.Identifier(keeper.name)
        if keeper.may_use:
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
        if keeper.may_create:
            connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(name))
        if keeper.may_make_temporary:
            connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(_database(connection), name))


def _take_from_public(connection: Connection) -> None:
    """What every role has unless it is revoked: temporary tables, and the way to our functions."""
    connection.execute(sql.SQL("REVOKE TEMPORARY, CREATE ON DATABASE {} FROM PUBLIC").format(_database(connection)))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def _grant(connection: Connection, *, may_read_private: bool) -> list[str]:
    """The views it may read; whatever else it was granted here is taken back."""
    views = [
        row.name
        for row in connection.execute(
            "SELECT relname AS name FROM pg_class WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v'"
            r" AND (relname NOT LIKE '%%\_private\_v%%' OR %s) ORDER BY relname",
            [may_read_private],
        )
    ]
    for row in connection.execute("SELECT nspname AS name FROM pg_namespace WHERE nspname = ANY(%s)", [list(_OURS)]).fetchall():
        for what in ("SCHEMA", "ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "ALL ROUTINES IN SCHEMA"):
            connection.execute(f'REVOKE ALL ON {what} "{row.name}" FROM {ROLE}'.encode())
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(_database(connection), sql.Identifier(ROLE)))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(_database(connection), sql.Identifier(ROLE)))
    connection.execute(f"GRANT USAGE ON SCHEMA reporting TO {ROLE}".encode())
    # A view reads tables with its owner's rights and calls functions with the reader's.
    connection.execute(f"GRANT EXECUTE ON FUNCTION stat_bucket_seconds TO {ROLE}".encode())
    for view in views:
        connection.execute(sql.SQL("GRANT SELECT ON reporting.{} TO {}").format(sql.Identifier(view), sql.Identifier(ROLE)))
    return views


def _database(connection: Connection) -> sql.Identifier:
    return sql.Identifier(connection.info.dbname)


def _faults(connection: Connection, views: Sequence[str]) -> list[str]:
    """What the role can do in this database, by whatever way, beyond reading the views: each with what to run against it."""
    rows = connection.execute(_FAULTS, {"role": ROLE, "views": list(views)})
    return [row.fault for row in rows]


# Rights that somebody else gave can't be revoked by us, and a role it is a member of gives it everything that one has.
_FAULTS = """
WITH reader AS (SELECT pg_roles.* FROM pg_roles WHERE rolname = %(role)s)
SELECT format('it is a superuser, may create roles or databases, replicate or bypass row security (ALTER ROLE %%I NOSUPERUSER NOCREATEROLE'
    ' NOCREATEDB NOREPLICATION NOBYPASSRLS)', rolname) AS fault
FROM reader WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL
SELECT format('it is a member of %%1$I (REVOKE %%1$I FROM %%2$I)', granted.rolname, reader.rolname)
FROM reader
INNER JOIN pg_auth_members ON pg_auth_members.member = reader.oid
INNER JOIN pg_roles AS granted ON pg_auth_members.roleid = granted.oid
UNION ALL
SELECT format('it may create temporary tables or schemas in the database %%1$I (REVOKE CREATE, TEMPORARY ON DATABASE %%1$I FROM PUBLIC)',
    current_database())
FROM reader
WHERE has_database_privilege(reader.oid, current_database(), 'TEMPORARY, CREATE')
UNION ALL
SELECT format('it may use the schema %%1$I, as everybody may (REVOKE ALL ON SCHEMA %%1$I FROM PUBLIC)', nspname)
FROM reader CROSS JOIN pg_namespace
WHERE nspname IN ('jobhub', 'public') AND has_schema_privilege(reader.oid, pg_namespace.oid, 'USAGE, CREATE')
UNION ALL
SELECT format('it may read or write %%1$s (REVOKE ALL ON %%1$s FROM %%2$I, PUBLIC)', pg_class.oid::regclass, rolname)
FROM reader CROSS JOIN pg_class
WHERE relnamespace IN ('public'::regnamespace, 'reporting'::regnamespace)
    AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND (
        has_table_privilege(reader.oid, pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        OR has_any_column_privilege(reader.oid, pg_class.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
        AND NOT (relnamespace = 'reporting'::regnamespace AND relname = ANY(%(views)s))
    )
ORDER BY fault
"""
