"""Procrastinate's worker over our manager: it starts what is due, wakes when told, and never has more in hand than it may."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

import jobhub
from jobhub.domain.job_types import Registry
from jobhub.domain.users import User
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker import procrastinate_app
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import DispatchWorker, NoConnector, create_worker
from jobhub.worker.run_job import run_job
from tests import factories
from tests.factories import Nothing
from tests.worker import attempts


@asynccontextmanager
async def dispatching(
    db: Database, sql: psycopg.Connection, registry: Registry, *, concurrency: int = 3, grace_seconds: float = 10
) -> AsyncIterator[DispatchWorker]:
    """A worker that claims and runs, until the block ends."""
    manager = DispatchManager(
        NoConnector(),
        db,
        worker_id=factories.make_worker(sql),
        queues=["default"],
        registry=registry,
        concurrency=concurrency,
        lease_is_held=lambda: True,
    )
    run = partial(run_job, registry=registry, db=db)
    worker = create_worker(NoConnector(), manager, run, queues=["default"], concurrency=concurrency, grace_seconds=grace_seconds)
    dispatcher = asyncio.create_task(worker.dispatch())
    try:
        yield worker
    finally:
        worker.end()
        async with asyncio.timeout(10):
            await dispatcher


def statuses(sql: psycopg.Connection, ids: list[UUID]) -> list[str]:
    return [factories.job_row(sql, job_id).status for job_id in ids]


async def test_every_job_runs_once_and_never_more_than_may_at_a_time(db: Database, sql: psycopg.Connection, alice: User) -> None:
    at_work, most, ran = 0, 0, []

    @jobhub.job_type("test.count")
    async def count(ctx: jobhub.JobContext, params: Nothing) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        ran.append(ctx.job_id)

    ids = [factories.make_job(sql, alice, job_type="test.count") for _ in range(20)]

    async with dispatching(db, sql, factories.make_registry(count), concurrency=3):
        await attempts.until(lambda: statuses(sql, ids) == ["completed"] * 20)

    assert most == 3
    assert sorted(ran) == sorted(ids)


async def test_a_wake_starts_a_job_without_waiting_for_the_next_look(
    db: Database, sql: psycopg.Connection, alice: User, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procrastinate_app, "POLL_SECONDS", 600.0)
    async with dispatching(db, sql, registry) as worker:
        first = factories.make_job(sql, alice)
        worker.wake()
        await attempts.until(lambda: statuses(sql, [first]) == ["completed"])

        second = factories.make_job(sql, alice)
        worker.wake()
        await attempts.until(lambda: statuses(sql, [second]) == ["completed"])


async def test_a_wake_during_a_claim_makes_another_one(
    db: Database, sql: psycopg.Connection, alice: User, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost wake-up: the job commits after the claim has looked, and is announced before that is back."""
    monkeypatch.setattr(procrastinate_app, "POLL_SECONDS", 600.0)
    real, made = dispatch.claim_jobs, []

    async def claim_jobs(db: Database, **parameters: Any) -> Any:
        found = await real(db, **parameters)
        if not made:
            made.append(factories.make_job(sql, alice))
            worker.wake()
        return found

    monkeypatch.setattr(dispatch, "claim_jobs", claim_jobs)

    async with dispatching(db, sql, registry) as worker:
        await attempts.until(lambda: made and statuses(sql, made) == ["completed"])


async def test_a_claim_on_its_way_when_the_worker_stops_is_given_back(
    db: Database, sql: psycopg.Connection, alice: User, registry: Registry
) -> None:
    ids = [factories.make_job(sql, alice, job_type="test.sleep") for _ in range(3)]
    with psycopg.connect(sql.info.dsn) as other:
        other.execute("LOCK TABLE procrastinate_jobs")
        async with dispatching(db, sql, registry) as worker:
            await attempts.until(lambda: sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount)
            worker.end()
            other.commit()

    assert statuses(sql, ids) == ["pending"] * 3
    assert {row.outcome for job_id in ids for row in attempts.attempt_rows(sql, job_id)} == {"released"}


async def test_a_job_nobody_told_of_is_found_by_looking(
    db: Database, sql: psycopg.Connection, alice: User, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procrastinate_app, "POLL_SECONDS", 0.1)
    async with dispatching(db, sql, registry):
        job_id = factories.make_job(sql, alice)

        await attempts.until(lambda: statuses(sql, [job_id]) == ["completed"])


async def test_ending_lets_jobs_finish_within_the_grace_time(db: Database, sql: psycopg.Connection, alice: User) -> None:
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    @jobhub.job_type("test.wait")
    async def wait(ctx: jobhub.JobContext, params: Nothing) -> str:
        has_begun.set()
        await may_end.wait()
        return "in time"

    job_id = factories.make_job(sql, alice, job_type="test.wait")
    async with dispatching(db, sql, factories.make_registry(wait)) as worker:
        await has_begun.wait()
        worker.end()
        may_end.set()

    assert factories.job_row(sql, job_id).result == "in time"


async def test_past_the_grace_time_jobs_are_given_back(db: Database, sql: psycopg.Connection, alice: User, registry: Registry) -> None:
    ids = [factories.make_job(sql, alice, job_type="test.sleep") for _ in range(2)]

    async with dispatching(db, sql, registry, grace_seconds=0.1):
        await attempts.until(lambda: statuses(sql, ids) == ["running"] * 2)

    assert statuses(sql, ids) == ["pending"] * 2
    assert {row.outcome for job_id in ids for row in attempts.attempt_rows(sql, job_id)} == {"released"}


async def test_procrastinate_itself_never_gets_to_the_database() -> None:
    connector: Any = NoConnector()

    for call in (connector.execute_query_async, connector.execute_query_one_async, connector.execute_query_all_async):
        with pytest.raises(NotImplementedError):
            await call("SELECT 1")
    with pytest.raises(NotImplementedError):
        await connector.listen_notify(None, [])
