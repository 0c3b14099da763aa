"""Attempts run in the test's own process: claimed, run and recorded by the real functions, without a dispatcher between."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg

from jobhub.domain.job_types import Registry
from jobhub.domain.users import User
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker.run_job import run_job
from jobhub.worker.running import RunningJob
from tests import factories


async def claim(db: Database, sql: psycopg.Connection, registry: Registry) -> RunningJob:
    """The one job that is due, started for a new worker."""
    worker_id = factories.make_worker(sql)
    names = [job_type.name for job_type in registry]
    claim = await dispatch.claim_jobs(db, worker_id=worker_id, queues=["default"], known_types=names, slots=1)
    return RunningJob(claim.jobs[0])


async def record(db: Database, running: RunningJob) -> None:
    if running.outcome:
        await dispatch.finish_jobs(db, [running.outcome])


async def run(db: Database, sql: psycopg.Connection, registry: Registry) -> None:
    """Claim the one job that is due, run it to its end, and record that."""
    running = await claim(db, sql, registry)
    await run_job(running, registry=registry, db=db)
    await record(db, running)


async def run_new(db: Database, sql: psycopg.Connection, owner: User, handler: Any, *, parameters: str = "{}", **columns: Any) -> Any:
    """The row of a new job of the handler's type, once one attempt of it has run."""
    registry = factories.make_registry(handler)
    job_id = factories.make_job(sql, owner, job_type=handler.__jobhub_job_type__.name, parameters=parameters, **columns)
    await run(db, sql, registry)
    return factories.job_row(sql, job_id)


def attempt_rows(sql: psycopg.Connection, job_id: UUID) -> list[Any]:
    return sql.execute("SELECT * FROM job_attempts WHERE job_id = %s ORDER BY number", [job_id]).fetchall()


async def until(look: Any, *, seconds: float = 10) -> Any:
    """What `look` returns once that is true, without blocking the event loop."""
    async with asyncio.timeout(seconds):
        while not (found := look()):
            await asyncio.sleep(0.01)
    return found
