"""Submitting in a transaction of one's own: over every kind of connection, and from SQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import jobhub
from jobhub.domain.errors import InvalidInput, OperatorError
from jobhub.domain.jobs import JobStatus
from tests.factories import echo, job_row

Ends = Callable[[], Awaitable[None]]


@asynccontextmanager
async def over_asyncpg(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("BEGIN")
    yield connection, lambda: connection.execute("COMMIT; BEGIN"), lambda: connection.execute("ROLLBACK; BEGIN")
    await connection.close()


@asynccontextmanager
async def over_psycopg(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        yield connection, awaited(connection.commit), awaited(connection.rollback)


@asynccontextmanager
async def over_psycopg_awaited(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection, connection.commit, connection.rollback


@asynccontextmanager
async def over_sqlalchemy(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        yield connection, awaited(connection.commit), awaited(connection.rollback)
    engine.dispose()


@asynccontextmanager
async def over_a_session(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        yield session, awaited(session.commit), awaited(session.rollback)
    engine.dispose()


@asynccontextmanager
async def over_an_async_session(dsn: str) -> AsyncIterator[tuple[Any, Ends, Ends]]:
    engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
    async with AsyncSession(engine) as session:
        yield session, session.commit, session.rollback
    await engine.dispose()


def awaited(act: Callable[[], None]) -> Ends:
    async def run() -> None:
        act()

    return run


CONNECTIONS = [over_asyncpg, over_psycopg, over_psycopg_awaited, over_sqlalchemy, over_a_session, over_an_async_session]


async def submit(connection: Any, *args: Any, **kwargs: Any) -> Any:
    answer = jobhub.submit(connection, *args, **kwargs)
    return await answer if isinstance(answer, Awaitable) else answer


@pytest.mark.parametrize("connect", CONNECTIONS, ids=lambda connect: connect.__name__)
async def test_a_job_is_committed_with_the_transaction_and_gone_with_its_rollback(connect, dsn, sql, alice):
    async with connect(dsn) as (connection, commit, rollback):
        dropped = await submit(connection, echo, {"value": 1}, owner=alice.id)
        await rollback()
        kept = await submit(connection, echo, {"value": {"a": [1, None]}}, owner="ALICE@example.org", title="Mine", tags=["x", "y"])
        seen_before = job_row(sql, kept)
        await commit()

    job = job_row(sql, kept)
    delivered = sql.execute("SELECT id, args ->> 'job_id' AS job_id, owner_id FROM procrastinate_jobs").fetchall()
    assert job_row(sql, dropped) is None
    assert seen_before is None
    assert (job.owner_id, job.parameters, job.title, job.tags) == (alice.id, {"value": {"a": [1, None]}}, "Mine", ["x", "y"])
    assert delivered == [(job.delivery_id, str(kept), alice.id)]
    assert kept.version == 7


class Given(msgspec.Struct, forbid_unknown_fields=True):
    at: datetime | None = None


@jobhub.job_type("test.special", queue="special", retry=jobhub.Retry(max_attempts=4))
async def special(ctx: jobhub.JobContext, params: Given) -> None:
    """Has policies of its own."""


def test_a_handler_brings_its_policies_and_checks_its_parameters(sql, alice):
    by_handler = job_row(sql, jobhub.submit(sql, special, Given(at=datetime(2026, 11, 28, tzinfo=UTC)), owner=alice.id))
    by_name = job_row(sql, jobhub.submit(sql, "test.special", owner=alice.id, queue="other", max_attempts=2))

    assert (by_handler.queue, by_handler.max_attempts, by_handler.title) == ("special", 4, "test.special")
    assert by_handler.parameters == {"at": "2026-11-28T00:00:00Z"}
    assert (by_name.queue, by_name.max_attempts) == ("other", 2)
    with pytest.raises(InvalidInput, match="/parameters/colour"):
        jobhub.submit(sql, special, {"colour": "red"}, owner=alice.id)


def test_a_job_for_later_waits_for_its_time(sql, alice):
    at = datetime.now(UTC) + timedelta(hours=1)

    job = job_row(sql, jobhub.submit(sql, echo, owner=alice.id, scheduled_for=at, priority=7))

    assert (job.status, job.scheduled_for, job.due_at, job.deliver_at, job.delivery_id) == ("pending", at, at, at, None)
    assert job.priority == 7


def test_a_time_in_the_past_is_now(sql, alice):
    job = job_row(sql, jobhub.submit(sql, echo, owner=alice.id, scheduled_for=datetime(2020, 1, 1, tzinfo=UTC)))

    assert job.delivery_id
    assert job.due_at == job.created_at


def test_a_transaction_that_took_long_makes_no_old_job(dsn, sql, alice):
    with psycopg.connect(dsn) as connection:
        began = connection.execute("SELECT now()").fetchone()[0]
        connection.execute("SELECT pg_sleep(0.3)")
        job_id = jobhub.submit(connection, echo, owner=alice.id)

    job = job_row(sql, job_id)
    assert job.created_at - began >= timedelta(seconds=0.3)
    assert job.due_at == job.created_at


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"owner": "nobody@example.org"}, "There is no active account 'nobody@example.org'"),
        ({"title": " spaces "}, "job_title_check"),
        ({"priority": 500}, "job_priority_check"),
        ({"tags": ["x"] * 21}, "job_tags_check"),
        ({"queue": "No Queue"}, "queue_name_check"),
        ({"max_attempts": -1}, "jobs_attempts_check"),
        ({"scheduled_for": datetime(2100, 1, 1, tzinfo=UTC)}, "at most a year ahead"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_the_database(sql, alice, given, said):
    with pytest.raises(psycopg.IntegrityError, match=said):
        jobhub.submit(sql, "test.echo", **{"owner": alice.id, **given})


def test_a_disabled_account_owns_no_new_jobs(sql, alice):
    sql.execute("UPDATE users SET disabled_at = now()")

    with pytest.raises(psycopg.IntegrityError, match="no active account"):
        jobhub.submit(sql, echo, owner=alice.id)


def test_what_is_no_connection_or_no_handler_is_said_to_be_so(sql, alice):
    with pytest.raises(TypeError, match="asyncpg, psycopg or SQLAlchemy, not object"):
        jobhub.submit(object(), echo, owner=alice.id)
    with pytest.raises(OperatorError, match="is no handler"):
        jobhub.submit(sql, job_row, owner=alice.id)


@pytest.fixture
def application(dsn, sql, databases):
    """A connection of a role that may do nothing here."""
    role = f"application_{dsn.rpartition('test_')[2].partition('?')[0]}"
    sql.execute(f"CREATE ROLE {role}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")
        yield connection, role
    sql.execute(f"DROP OWNED BY {role}")
    sql.execute(f"DROP ROLE {role}")


def test_a_role_needs_to_be_let_and_then_needs_no_more(application, sql, alice):
    connection, role = application
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        jobhub.submit(connection, echo, owner=alice.id)
    sql.execute(f"GRANT USAGE ON SCHEMA jobhub TO {role}")
    sql.execute(f"GRANT EXECUTE ON FUNCTION jobhub.submit_job TO {role}")

    job_id = jobhub.submit(connection, echo, owner=alice.id)

    assert job_row(sql, job_id).status == JobStatus.PENDING
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM jobs")


def test_tables_of_the_callers_own_are_not_taken_for_ours(application, sql, alice):
    connection, role = application
    sql.execute(f"GRANT USAGE ON SCHEMA jobhub TO {role}; GRANT EXECUTE ON FUNCTION jobhub.submit_job TO {role}")
    connection.execute(
        "CREATE TEMPORARY TABLE users AS SELECT gen_random_uuid() AS id, 'x@example.org' AS email, NULL::timestamptz AS disabled_at"
    )

    with pytest.raises(psycopg.IntegrityError, match="no active account"):
        jobhub.submit(connection, echo, owner="x@example.org")


def test_a_trigger_submits_jobs_for_rows_that_are_committed(sql, alice):
    sql.execute(
        """
        CREATE TABLE orders (id integer PRIMARY KEY);
        CREATE FUNCTION submit_charge() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM jobhub.submit_job('alice@example.org', 'test.echo', jsonb_build_object('value', new.id));
            RETURN NULL;
        END;
        $$;
        CREATE TRIGGER orders_charge AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION submit_charge();
        """
    )

    with pytest.raises(psycopg.errors.UniqueViolation):
        sql.execute("INSERT INTO orders VALUES (1), (2), (2)")
    sql.execute("INSERT INTO orders VALUES (1), (2)")

    found = sql.execute("SELECT parameters FROM jobs ORDER BY parameters").fetchall()
    assert [row.parameters for row in found] == [{"value": 1}, {"value": 2}]
