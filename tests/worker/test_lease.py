"""The lease of a worker: renewed whatever the event loop does, and given up in time whatever the database does."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from jobhub.store import lease as store_lease
from jobhub.store.dispatch import WorkerRow
from jobhub.worker import lease
from jobhub.worker.lease import Lease
from tests import factories
from tests.worker import attempts
from tests.worker.relay import relay_to


@pytest.fixture(autouse=True)
def brief_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "MARGIN_SECONDS", 1.0)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lease, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.05)


def make_row() -> WorkerRow:
    return WorkerRow(
        worker_id=factories.new_id(), host="h", pid=1, version="0", queues=["default"], concurrency=1, loop_lag_ms=0, stopping=False
    )


class Held:
    """A lease, and how often it was lost."""

    def __init__(self, dsn: str) -> None:
        self.row = make_row()
        self.losses: list[float] = []
        self.lease = Lease(dsn, self.row, on_lost=lambda: self.losses.append(time.monotonic()))


@asynccontextmanager
async def held(dsn: str) -> AsyncIterator[Held]:
    holding = Held(dsn)
    await holding.lease.start()
    try:
        yield holding
    finally:
        await holding.lease.stop()


def row_of(sql: psycopg.Connection, worker_id: UUID) -> object:
    return sql.execute("SELECT *, now() AS now FROM workers WHERE id = %s", [worker_id]).fetchone()


async def test_starting_registers_the_worker_with_15_seconds(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        row = row_of(sql, holding.row.worker_id)

        assert holding.lease.is_held()
        assert 14 < (row.lease_until - row.now).total_seconds() <= 15


async def test_it_is_renewed_again_and_again(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        first = row_of(sql, holding.row.worker_id).lease_until

        await attempts.until(lambda: row_of(sql, holding.row.worker_id).lease_until > first)


async def test_a_blocked_event_loop_is_reported_and_costs_no_lease(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        before = row_of(sql, holding.row.worker_id).lease_until

        time.sleep(1.5)

        row = row_of(sql, holding.row.worker_id)
        assert row.lease_until > before
        assert 500 < row.loop_lag_ms < 1600
        assert holding.lease.is_held()
        await attempts.until(lambda: row_of(sql, holding.row.worker_id).loop_lag_ms < 200)
        assert holding.losses == []


async def test_a_row_somebody_deleted_comes_back(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        sql.execute("DELETE FROM workers")

        await attempts.until(lambda: row_of(sql, holding.row.worker_id))


async def test_a_stop_is_announced_in_the_row(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        holding.lease.announce_stop()

        await attempts.until(lambda: row_of(sql, holding.row.worker_id).stopping)


async def test_a_database_that_is_away_loses_the_lease_once_and_its_return_brings_it_back(dsn: str, sql: psycopg.Connection) -> None:
    async with relay_to(dsn) as relay, held(relay.dsn) as holding:
        relay.cut()

        await attempts.until(lambda: holding.losses)
        assert not holding.lease.is_held()
        relay.restore()

        await attempts.until(holding.lease.is_held)
        assert len(holding.losses) == 1


async def test_a_database_that_stands_still_loses_the_lease_before_others_may_take_its_jobs(
    dsn: str, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the answer can't notice that its time is up: the loop does."""
    monkeypatch.setattr(store_lease, "ANSWER_TIMEOUT_SECONDS", 600.0)
    async with relay_to(dsn) as relay, held(relay.dsn) as holding:
        frozen_at = time.monotonic()
        relay.freeze()

        await attempts.until(lambda: holding.losses)

        assert holding.losses[0] - frozen_at < lease.LEASE_SECONDS
        relay.restore()
        await attempts.until(holding.lease.is_held)


async def test_a_connection_that_fell_silent_is_replaced(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_lease, "ANSWER_TIMEOUT_SECONDS", 1.5)
    async with relay_to(dsn) as relay, held(relay.dsn) as holding:
        relay.freeze_present_ones()
        await attempts.until(lambda: holding.losses)

        await attempts.until(holding.lease.is_held)


async def test_a_thread_that_waits_for_an_answer_does_not_keep_the_worker_from_ending(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "JOIN_SECONDS", 0.2)
    async with relay_to(dsn) as relay:
        async with held(relay.dsn) as holding:
            relay.freeze()
            await attempts.until(lambda: holding.losses)

        relay.restore()
        await attempts.until(lambda: not holding.lease._thread.is_alive())


async def test_a_fault_of_the_thread_is_not_its_end(dsn: str, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    async with held(dsn) as holding:
        with monkeypatch.context() as patch:
            patch.setattr(store_lease.LeaseConnection, "renew", broken)
            await attempts.until(lambda: holding.losses)

        await attempts.until(holding.lease.is_held)


async def test_stopping_ends_thread_and_connection(dsn: str, sql: psycopg.Connection) -> None:
    async with held(dsn) as holding:
        pass

    assert not holding.lease._thread.is_alive()
    connections = "SELECT FROM pg_stat_activity WHERE application_name = 'jobhub lease' AND datname = current_database()"
    await attempts.until(lambda: not sql.execute(connections).rowcount)
