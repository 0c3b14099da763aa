"""pg-boss on Node.js: the job with its result is kept for 7 days. node/pgboss.js has its settings."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime

from bench.peers import node_program

NAME = "pg-boss"
KEEPS = "job, result"
SLOW = 1
LEFT = "SELECT count(*) FROM pgboss.job WHERE state <> 'completed'"


def missing() -> str | None:
    return node_program.missing("pg-boss")


def version() -> str:
    return node_program.version("pg-boss")


def prepare(dsn: str) -> None:
    node_program.run(dsn, "pgboss.js", "prepare")


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    node_program.run(dsn, "pgboss.js", "fill", jobs, first_at.isoformat() if first_at else "now", every_seconds, priority)


def command(dsn: str) -> list[str]:
    return node_program.command("pgboss.js", "work")


def environ(dsn: str) -> dict[str, str]:
    return node_program.environ(dsn)


def enqueuer(dsn: str) -> AbstractAsyncContextManager:
    return node_program.enqueuer(dsn, "pgboss.js")
