"""Progress reports: throttled, never backwards, never an error for the handler."""

import asyncio
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest

import jobhub
from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.jobs import ClaimedJob
from jobhub.domain.users import User
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker import progress
from jobhub.worker.progress import Progress
from tests import factories
from tests.factories import Nothing
from tests.worker import attempts


class Wordless:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture
async def claimed(db: Database, sql: psycopg.Connection, registry: Any, alice: User) -> ClaimedJob:
    factories.make_job(sql, alice)
    return (await attempts.claim(db, sql, registry)).claimed


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str | None]]:
    """What was written, in order."""
    written: list[tuple[int, str | None]] = []
    real = dispatch.report_progress

    async def report_progress(db: Database, **report: Any) -> bool:
        written.append((report["percentage"], report["message"]))
        return await real(db, **report)

    monkeypatch.setattr(dispatch, "report_progress", report_progress)
    return written


async def test_a_burst_of_reports_is_written_as_its_first_and_its_last(
    db: Database, sql: psycopg.Connection, claimed: ClaimedJob, writes: list[Any]
) -> None:
    reports = Progress(db, claimed)

    reports.report(1, "one")
    await attempts.until(lambda: writes)
    for percentage in range(2, 50):
        reports.report(percentage)
        await asyncio.sleep(0)
    await reports.close()

    assert writes == [(1, "one"), (49, "one")]
    row = factories.job_row(sql, claimed.id)
    assert (row.progress_percentage, row.progress_message) == (49, "one")


async def test_reports_are_written_at_most_once_in_a_while(
    db: Database, claimed: ClaimedJob, writes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_WRITES", 0.2)
    reports = Progress(db, claimed)

    reports.report(1)
    await attempts.until(lambda: writes)
    reports.report(2)
    reports.report(3)

    await attempts.until(lambda: len(writes) == 2)
    assert writes == [(1, None), (3, None)]
    await reports.close()


async def test_progress_never_goes_backwards(db: Database, sql: psycopg.Connection, claimed: ClaimedJob) -> None:
    reports = Progress(db, claimed)

    reports.report(70, "far")
    reports.report(30, "again")
    await reports.close()

    row = factories.job_row(sql, claimed.id)
    assert (row.progress_percentage, row.progress_message) == (70, "again")


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0.9, 0), (99.99, 99), (-5, 0), (250, 100), (True, 1), (Decimal("12.5"), 12), (Fraction(1, 3), 0)],
    ids=repr,
)
async def test_any_number_becomes_a_percentage(db: Database, sql: psycopg.Connection, claimed: ClaimedJob, given: Any, kept: int) -> None:
    reports = Progress(db, claimed)

    reports.report(given, "reported")
    await reports.close()

    assert factories.job_row(sql, claimed.id).progress_percentage == kept


@pytest.mark.parametrize("given", [math.nan, math.inf, "50", None, object()], ids=["NaN", "infinity", "text", "None", "object"])
async def test_what_is_no_number_is_ignored(db: Database, claimed: ClaimedJob, writes: list[Any], given: Any) -> None:
    reports = Progress(db, claimed)

    reports.report(given, "words")
    await reports.close()

    assert writes == []


async def test_words_that_can_not_be_had_are_ignored(db: Database, claimed: ClaimedJob, writes: list[Any]) -> None:
    reports = Progress(db, claimed)

    reports.report(50, Wordless())
    await reports.close()

    assert writes == []


async def test_words_are_made_storable(db: Database, sql: psycopg.Connection, claimed: ClaimedJob) -> None:
    reports = Progress(db, claimed)

    reports.report(1, "nul \x00, lone \ud800, " + "x" * 10_000)
    await reports.close()

    message = factories.job_row(sql, claimed.id).progress_message
    assert message.startswith("nul \ufffd, lone \ufffd, x")
    assert len(message) <= progress.MAX_MESSAGE_LENGTH


async def test_a_report_on_its_way_is_not_lost_when_the_attempt_ends(db: Database, sql: psycopg.Connection, claimed: ClaimedJob) -> None:
    reports = Progress(db, claimed)
    with sql.transaction():
        sql.execute("SELECT FROM jobs FOR UPDATE")
        reports.report(42, "nearly")
        await attempts.until(lambda: sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount)
        closing = asyncio.create_task(reports.close())
        await asyncio.sleep(0)

    await closing

    assert factories.job_row(sql, claimed.id).progress_percentage == 42


async def test_a_report_waits_for_the_database(db: Database, claimed: ClaimedJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_WRITES", 0.01)
    told: list[int] = []

    async def away_twice(db: Database, **report: Any) -> bool:
        told.append(report["percentage"])
        if len(told) < 3:
            raise DatabaseUnavailable
        return True

    monkeypatch.setattr(dispatch, "report_progress", away_twice)
    reports = Progress(db, claimed)

    reports.report(5)

    await attempts.until(lambda: told == [5, 5, 5])
    await reports.close()
    assert told == [5, 5, 5]


async def test_a_report_that_breaks_does_not_break_the_attempt(
    db: Database, sql: psycopg.Connection, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(db: Database, **report: Any) -> bool:
        raise RuntimeError("broken")

    @jobhub.job_type("test.progress")
    async def handler(ctx: jobhub.JobContext, params: Nothing) -> str:
        await ctx.progress(5)
        await asyncio.sleep(0.01)
        return "done"

    monkeypatch.setattr(dispatch, "report_progress", broken)

    row = await attempts.run_new(db, sql, alice, handler)

    assert row.result == "done"


async def test_a_failed_attempt_shows_how_far_it_came(db: Database, sql: psycopg.Connection, alice: User) -> None:
    @jobhub.job_type("test.progress")
    async def handler(ctx: jobhub.JobContext, params: Nothing) -> None:
        await ctx.progress(66, "two thirds")
        raise jobhub.JobFailed("enough")

    row = await attempts.run_new(db, sql, alice, handler)

    assert (row.status, row.progress_percentage, row.progress_message) == ("failed", 66, "two thirds")


async def test_the_report_of_an_attempt_that_is_over_changes_nothing(db: Database, sql: psycopg.Connection, claimed: ClaimedJob) -> None:
    sql.execute("UPDATE jobs SET attempt = 2")
    reports = Progress(db, claimed)

    reports.report(50, "late")
    await reports.close()

    row = factories.job_row(sql, claimed.id)
    assert (row.progress_percentage, row.progress_message) == (0, None)
