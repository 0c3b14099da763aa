"""The database under test: three connections of the program, one to look on and to move the clock, and how statements overlap.

**The clock.** The statements go by `now()`. To let an hour pass, all times in the database are moved an hour back, by one UPDATE per
table, which no trigger and no `version` notices.

**Overlaps.** `at_once` keeps the first statements' transactions open while the next one starts, on connections of their own. Nothing is
left to chance: a statement has ended, or PostgreSQL says who it waits for, before anything else happens.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.transaction import Transaction

from jobhub.store.connections import connect
from jobhub.store.dispatch import PLANNER_SETTINGS
from tests.model.operations import Operation
from tests.model.session import Session
from tests.model.snapshot import Snapshot, read_snapshot

DEADLINE_SECONDS = 20

_TIMES = {
    "jobs": (
        "created_at",
        "updated_at",
        "due_at",
        "scheduled_for",
        "deliver_at",
        "started_at",
        "completed_at",
        "cancel_requested_at",
        "unknown_type_since",
        "pinned_at",
    ),
    "claims": ("claimed_at",),
    "job_attempts": ("due_at", "started_at", "ended_at"),
    "job_stat_changes": ("at",),
    "workers": ("started_at", "lease_until"),
    "idempotency_keys": ("created_at", "expires_at"),
}


class Connections:
    """Synchronous to the outside, since Hypothesis is; inside, one event loop."""

    def __init__(self, runner: asyncio.Runner, sessions: list[asyncpg.Connection], observer: asyncpg.Connection) -> None:
        self._runner = runner
        self._sessions = sessions
        self._observer = observer
        self._acts_before = 0

    @classmethod
    @contextmanager
    def open(cls, dsn: str) -> Iterator["Connections"]:
        """Three connections as workers make them, and an observer."""
        with asyncio.Runner() as runner:
            opened = [runner.run(_connect(dsn)) for _ in range(4)]
            try:
                yield cls(runner, opened[:3], opened[3])
            finally:
                for connection in opened:
                    connection.terminate()

    def empty(self) -> None:
        """Start anew. DELETE, because on tables of a few rows TRUNCATE takes ten times as long."""
        self._runner.run(self._empty())

    async def _empty(self) -> None:
        for table in ("jobs", "job_attempts", "job_stat_changes", "claims", "procrastinate_jobs", "workers", "idempotency_keys"):
            await self._observer.execute(f"DELETE FROM {table}")
        self._acts_before = await self._observer.fetchval("SELECT coalesce(max(id), 0) FROM audit_log")

    def look(self) -> Snapshot:
        """Everything in the database."""
        return self._runner.run(read_snapshot(self._observer, acts_after=self._acts_before))

    def move_lease(self, worker_id: UUID, *, seconds_from_now: int) -> None:
        """Let a lease last longer than `renew_lease` makes it, or be over."""
        moved = "UPDATE workers SET lease_until = now() + make_interval(secs => $2) WHERE id = $1"
        self._runner.run(self._observer.execute(moved, worker_id, float(seconds_from_now)))

    def move_clock(self, seconds: int) -> None:
        """Let time pass."""
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{column} = {column} - make_interval(secs => $1)" for column in columns)
            self._runner.run(self._observer.execute(f"UPDATE {table} SET {moved}", float(seconds)))

    def deliver_again(self, job_id: UUID) -> None:
        """A delivery nobody should have made, as a late or a repeated one looks."""
        self._runner.run(self._observer.execute("SELECT deliver_job(id, job_type, queue, priority) FROM jobs WHERE id = $1", job_id))

    def run(self, operation: Operation) -> Any:
        """One statement, alone."""
        return self._runner.run(operation.run(Session(self._sessions[0])))

    def at_once(self, operations: Sequence[Operation], commits: Sequence[bool]) -> list[Any]:
        """Start one operation after the other, then end the transactions of all but the last in that order; the answers of those started.

        A statement that has to wait for another is the last one to start.
        """
        return self._runner.run(self._at_once(operations, commits))

    async def _at_once(self, operations: Sequence[Operation], commits: Sequence[bool]) -> list[Any]:
        tasks: list[asyncio.Task[Any]] = []
        begun: list[tuple[asyncio.Task[Any], Transaction]] = []
        transactions = [connection.transaction() for connection in self._sessions[: len(commits)]]
        try:
            for connection, operation, transaction in zip(self._sessions, operations, [*transactions, None], strict=False):
                if transaction:
                    await transaction.start()
                tasks.append(asyncio.create_task(operation.run(Session(connection))))
                if transaction:
                    begun.append((tasks[-1], transaction))
                if await self._waits(tasks[-1], connection):
                    break
            for commits_it in commits[: len(begun)]:
                task, transaction = begun[0]
                await task
                del begun[0]
                await (transaction.commit() if commits_it else transaction.rollback())
            return [await task for task in tasks]
        finally:
            await self._clear_away(tasks, begun)

    async def _waits(self, task: asyncio.Task[Any], connection: asyncpg.Connection) -> bool:
        """Whether a statement waits for one of the others; else it has ended."""
        others = [other.get_server_pid() for other in self._sessions if other is not connection]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not task.done():
            assert time.monotonic() < deadline, "a statement neither ended nor waited for another one"
            if await self._observer.fetchval("SELECT pg_blocking_pids($1) && $2::integer[]", connection.get_server_pid(), others):
                return True
        return False

    async def _clear_away(self, tasks: list[asyncio.Task[Any]], begun: list[tuple[asyncio.Task[Any], Transaction]]) -> None:
        """After a failure, nothing may stay open: the next example uses the same connections. Who waits goes on once others are undone."""
        for task, transaction in begun:
            await asyncio.wait([task])
            await transaction.rollback()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connect(dsn: str) -> asyncpg.Connection:
    return await connect(dsn, application_name="tests.model", settings=PLANNER_SETTINGS, command_timeout=DEADLINE_SECONDS)
