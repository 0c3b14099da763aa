"""Everything the checker judges by, gathered once the dust has settled. Not here: what must hold of it (`checker`)."""

from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg

from tests.faults import ledger
from tests.faults.history import Call
from tests.faults.ledger import Entry

T = TypeVar("T")


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the database has it at the end."""

    id: UUID
    title: str
    job_type: str
    status: str
    attempt: int
    max_attempts: int
    result: Any
    is_for_later: bool = False


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt on record."""

    job_id: UUID
    number: int
    started_at: datetime
    ended_at: datetime
    outcome: str


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit log: what was accepted of a cancel, a retry or a force-complete."""

    job_id: UUID
    verb: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One owner's jobs, from all sides. `residue` is whatever is left over of anybody's, in words."""

    jobs: list[JobRow]
    attempts: list[AttemptRow] = []
    deeds: list[Deed] = []
    calls: list[Call] = []
    entries: list[Entry] = []
    residue: list[str] = []

    def deeds_on(self, job_id: UUID, *verbs: str) -> int:
        """How often any of these was done to the job."""
        return sum(deed.job_id == job_id and deed.verb in verbs for deed in self.deeds)

    def attempts_of(self, job_id: UUID) -> list[AttemptRow]:
        return sorted((row for row in self.attempts if row.job_id == job_id), key=lambda row: row.number)


JOBS = """
SELECT
    id, title, job_type, status::text, attempt, max_attempts, result,
    coalesce(deliver_at > now() + interval '5 s', false) AS is_for_later
FROM jobs WHERE owner_id = %s ORDER BY id
"""
ATTEMPTS = """
SELECT job_id, number, job_attempts.started_at, ended_at, outcome::text
FROM job_attempts INNER JOIN jobs ON job_attempts.job_id = jobs.id
WHERE owner_id = %s ORDER BY job_id, number
"""
DEEDS = """
SELECT job_id, verb
FROM audit_log INNER JOIN jobs ON audit_log.job_id = jobs.id
WHERE owner_id = %s
ORDER BY audit_log.id
"""


def gather(sql: psycopg.Connection, owner_id: UUID, *, calls: list[Call], ledger_path: Path, residue: list[str]) -> Evidence:
    """What is known of one owner's jobs."""
    jobs = _rows(sql, JOBS, owner_id, JobRow)
    ids = {job.id for job in jobs}
    return Evidence(
        jobs=jobs,
        attempts=_rows(sql, ATTEMPTS, owner_id, AttemptRow),
        deeds=_rows(sql, DEEDS, owner_id, Deed),
        calls=calls,
        entries=[entry for entry in ledger.read(ledger_path) if entry.job_id in ids],
        residue=residue,
    )


def _rows(sql: psycopg.Connection, statement: str, owner_id: UUID, kind: type[T]) -> list[T]:
    return [kind(**row._asdict()) for row in sql.execute(statement, [owner_id])]
