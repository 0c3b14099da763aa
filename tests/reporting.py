"""Statistics as the rollups hold them, the role of reports, and psql, for tests of what people read."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from jobhub.postgres.binaries import find_binaries
from jobhub.postgres.reporting_role import ROLE, set_up_reporting_role
from tests.databases import as_url

PASSWORD = "a password for reports"


def set_up_reader(dsn: str, *, may_read_private: bool = False) -> str:
    """The database's address as the role of reports, which is made for it."""
    set_up_reporting_role(dsn, may_read_private=may_read_private, password=PASSWORD)
    return as_url(conninfo_to_dict(dsn) | {"user": ROLE, "password": PASSWORD})


def role(dsn: str) -> Any:
    """The role as the catalog has it."""
    with psycopg.connect(dsn, row_factory=psycopg.rows.namedtuple_row) as connection:
        return connection.execute(
            "SELECT rolcanlogin, rolconnlimit, ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = pg_roles.oid"
            " AND setdatabase = 0 ORDER BY 1) AS settings FROM pg_roles WHERE rolname = %s",
            [ROLE],
        ).fetchone()


def make_stats(
    sql: psycopg.Connection,
    at: datetime,
    job_type: str = "test.echo",
    *,
    waited: Iterable[float] = (),
    ran: Iterable[float] = (),
    failures: Mapping[str, int] | None = None,
    **counts: int,
) -> None:
    """Rows of one moment in all three resolutions: seconds that attempts waited and ran, failed jobs by code, and columns of job_stats."""
    waited, ran = [float(seconds) for seconds in waited], [float(seconds) for seconds in ran]
    counts = {
        "failed": sum((failures or {}).values()),
        "attempts_completed": len(ran),
        **counts,
        "waiting_microseconds": round(sum(waited) * 1e6),
        "processing_microseconds": round(sum(ran) * 1e6),
    }
    names = ", ".join(counts)
    added = ", ".join(f"{name} = job_stats.{name} + excluded.{name}" for name in counts)
    for resolution in ("minute", "hour", "day"):
        key = (resolution, sql.execute("SELECT date_trunc(%s, %s, 'UTC') AS at", [resolution, at]).fetchone()[0], job_type)
        sql.execute(
            f"INSERT INTO job_stats (resolution, at, job_type, {names}) VALUES (%s, %s, %s{', %s' * len(counts)})"
            f" ON CONFLICT (resolution, at, job_type) DO UPDATE SET {added}",
            [*key, *counts.values()],
        )
        for column, lengths in (("waiting", waited), ("processing", ran)):
            sql.execute(
                f"INSERT INTO job_time_stats AS old (resolution, at, job_type, {column})"
                " SELECT %s, %s, %s, stat_histogram(array_agg(bucket), array_agg(count))"
                " FROM (SELECT stat_bucket(seconds), count(*) FROM unnest(%s::float8[]) AS seconds GROUP BY 1) AS counted (bucket, count)"
                f" ON CONFLICT (resolution, at, job_type) DO UPDATE SET {column} = stat_histogram_sum(old.{column}, excluded.{column})",
                [*key, lengths],
            )
        for code, failed in (failures or {}).items():
            sql.execute(
                "INSERT INTO job_failure_stats AS old (resolution, at, job_type, error_code, failed) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (resolution, at, job_type, error_code) DO UPDATE SET failed = old.failed + excluded.failed",
                [*key, code, failed],
            )


def psql(dsn: str, *arguments: str, script: str = "") -> str:
    """What psql prints; it stops at the first error, and one is a failure of the test."""
    beside_the_server = find_binaries(os.environ).bin_dir / "psql"
    program = str(beside_the_server) if beside_the_server.exists() else shutil.which("psql")
    assert program, "psql is part of PostgreSQL's client"
    done = subprocess.run(
        [program, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", dsn, *arguments],
        input=script,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout
