"""Submitting over a connection of the caller's own: committed with its transaction, gone with its rollback, for every driver."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import asyncpg
import msgspec
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import jobhub
from jobhub.domain.job_types import Registry
from jobhub.store.dispatch import publish_job_types
from tests import factories


class Greeting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    times: int = 1


@jobhub.job_type("test.greet", retry=jobhub.Retry(max_attempts=3), queue="mail")
async def greet(ctx: jobhub.JobContext, params: Greeting) -> str:
    """Say hello."""
    return params.name


@jobhub.job_type("test.secret", audience="admin")
async def secret(ctx: jobhub.JobContext, params: Greeting) -> str:
    """Not for everybody."""
    return params.name


@pytest.fixture(autouse=True)
async def known_types(db):
    await publish_job_types(db, Registry.from_modules([SimpleNamespace(greet=greet, secret=secret)]))


async def with_asyncpg(dsn, act):
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            return await act(lambda *args, **more: jobhub.submit(connection, *args, **more))
    finally:
        await connection.close()


async def with_a_pool(dsn, act):
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire() as connection, connection.transaction():
        return await act(lambda *args, **more: jobhub.submit(connection, *args, **more))


async def with_psycopg_async(dsn, act):
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        return await act(lambda *args, **more: jobhub.submit(connection, *args, **more))


async def with_session(dsn, act):
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            return await act(lambda *args, **more: jobhub.submit(session, *args, **more))
    finally:
        await engine.dispose()


async def with_async_connection(dsn, act):
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    try:
        async with engine.begin() as connection:
            return await act(lambda *args, **more: jobhub.submit(connection, *args, **more))
    finally:
        await engine.dispose()


async def with_psycopg(dsn, act):
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return await act(_as_async(connection))


async def with_connection(dsn, act):
    engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            return await act(_as_async(connection))
    finally:
        engine.dispose()


async def with_orm_session(dsn, act):
    engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with Session(engine) as session, session.begin():
            return await act(_as_async(session))
    finally:
        engine.dispose()


def _as_async(connection):
    async def submit(*args, **more):
        return jobhub.submit_sync(connection, *args, **more)

    return submit


TABLES = ("jobs", "procrastinate_jobs", "idempotency_keys")
every_driver = pytest.mark.parametrize(
    "within",
    [
        with_asyncpg,
        with_a_pool,
        with_psycopg_async,
        with_session,
        with_async_connection,
        with_psycopg,
        with_connection,
        with_orm_session,
    ],
)


@every_driver
async def test_the_job_is_there_once_the_transaction_commits(dsn, sql, alice, within):
    at = datetime.now(UTC) + timedelta(days=1)

    async def act(submit):
        due = await submit(greet, Greeting(name="Ada"), owner=alice.id, title=" Greet ", tags=["a", "b"], priority=7)
        later = await submit("test.greet", {"name": "Bob"}, owner="ALICE@example.org", title="Later", scheduled_for=at, description="d")
        assert sql.execute("SELECT count(*) AS jobs FROM jobs").fetchone().jobs == 0
        return due, later

    due, later = await within(dsn, act)

    assert type(due) is UUID
    assert due.version == 7
    row = factories.job_row(sql, due)
    assert (row.owner_id, row.job_type, row.queue, row.title, row.max_attempts) == (alice.id, "test.greet", "mail", "Greet", 3)
    assert (row.parameters, row.tags, row.priority, row.status) == ({"name": "Ada", "times": 1}, ["a", "b"], 7, "pending")
    assert sql.execute("SELECT id, owner_id FROM procrastinate_jobs").fetchall() == [(row.delivery_id, alice.id)]
    assert (factories.job_row(sql, later).deliver_at, factories.job_row(sql, later).description) == (at, "d")


@every_driver
async def test_the_job_is_gone_with_a_rollback(dsn, sql, alice, within):
    async def act(submit):
        await submit(greet, Greeting(name="Ada"), owner=alice.id, title="Greet", idempotency_key="k")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await within(dsn, act)

    left = {table: sql.execute(f"SELECT count(*) AS rows FROM {table}").fetchone().rows for table in TABLES}
    assert left == dict.fromkeys(TABLES, 0)


def test_a_job_is_as_old_as_its_submit_and_not_as_its_transaction(dsn, sql, alice):
    with psycopg.connect(dsn) as connection:
        began_at = connection.execute("SELECT now() + interval '0.2 seconds', pg_sleep(0.2)").fetchone()[0]
        job_id = jobhub.submit_sync(connection, "test.greet", {"name": "x"}, owner=alice.id, title="x")

    row = factories.job_row(sql, job_id)
    assert row.created_at >= began_at
    assert row.due_at == row.created_at


async def test_workers_are_woken_by_the_commit(dsn, sql, alice):
    woken = asyncio.Event()
    listener = await asyncpg.connect(dsn)
    try:
        await listener.add_listener("procrastinate_queue_v1#mail", lambda *_: woken.set())

        await with_asyncpg(dsn, lambda submit: submit(greet, Greeting(name="Ada"), owner=alice.id, title="Greet"))

        async with asyncio.timeout(5):
            await woken.wait()
    finally:
        await listener.close()


async def test_parameters_of_a_handler_are_checked_before_anything_is_sent(alice):
    with pytest.raises(jobhub.InvalidInput) as caught:
        await jobhub.submit(object(), greet, {"times": "2"}, owner=alice.id, title="x")

    assert {error.pointer for error in caught.value.errors} == {"/parameters/name", "/parameters/times"}


async def test_a_name_in_place_of_a_connection_is_refused(alice):
    with pytest.raises(TypeError, match="asynchronous connection, not str"):
        await jobhub.submit("postgresql://x", greet, Greeting(name="x"), owner=alice.id, title="x")
    with pytest.raises(TypeError, match="blocking connection, not str"):
        jobhub.submit_sync("postgresql://x", greet, Greeting(name="x"), owner=alice.id, title="x")
    with pytest.raises(TypeError, match="is no handler"):
        jobhub.submit_sync("postgresql://x", print, owner=alice.id, title="x")
    with pytest.raises(ValueError, match="time zone"):
        jobhub.submit_sync("x", greet, Greeting(name="x"), owner=alice.id, title="x", scheduled_for=datetime(2026, 1, 1))  # noqa: DTZ001


def refusal(sql, **given) -> psycopg.errors.DatabaseError:
    values = {"owner": "alice@example.org", "job_type": "test.greet", "title": "x", **given}
    arguments = ", ".join(f"{name} => %({name})s" for name in values)
    with pytest.raises(psycopg.errors.DatabaseError) as caught:
        sql.execute(f"SELECT jobhub.submit_job({arguments})", values)
    return caught.value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"owner": "nobody@example.org"}, "there is no user 'nobody@example.org'"),
        ({"owner": str(uuid4())}, "there is no user"),
        ({"job_type": "test.unheard"}, "no worker has ever known a job type 'test.unheard'"),
        ({"job_type": "test.secret"}, "is for administrators"),
        ({"title": "  "}, "title must have 1 to 200"),
        ({"title": "x" * 201}, "title must have 1 to 200"),
        ({"title": "a\nb"}, "title must have 1 to 200"),
        ({"parameters": "[]"}, "parameters must be a JSON object"),
        ({"parameters": '{"x": "' + "y" * 131_072 + '"}'}, "at most 128 KiB"),
        ({"description": "x" * 4001}, "at most 4,000"),
        ({"priority": 101}, "priority must be from -100 to 100"),
        ({"scheduled_for": datetime.now(UTC) + timedelta(days=367)}, "at most a year ahead"),
        ({"tags": ["a", "a"]}, "tags must be"),
        ({"tags": [""]}, "tags must be"),
        ({"tags": [str(n) for n in range(21)]}, "tags must be"),
        ({"idempotency_key": "a b"}, "visible ASCII"),
    ],
)
def test_what_http_refuses_is_refused_in_words(sql, alice, given, words):
    error = refusal(sql, **given)

    assert error.sqlstate == "22023"
    assert words in str(error)
    assert sql.execute("SELECT count(*) AS jobs FROM jobs").fetchone().jobs == 0


def test_a_disabled_user_gets_no_job(sql, alice):
    sql.execute("UPDATE users SET disabled_at = now() WHERE id = %s", [alice.id])

    assert "is disabled" in str(refusal(sql))


def submit_with_key(connection, title: str) -> UUID:
    return jobhub.submit_sync(connection, "test.greet", {"name": "x"}, owner="alice@example.org", title=title, idempotency_key="k")


def test_one_key_makes_one_job(dsn, sql, alice):
    with psycopg.connect(dsn) as connection:
        first = submit_with_key(connection, "x")
    with psycopg.connect(dsn) as connection:
        assert submit_with_key(connection, "x") == first
        with pytest.raises(psycopg.errors.UniqueViolation, match="stands for another job"):
            submit_with_key(connection, "y")

    assert sql.execute("SELECT id FROM jobs").fetchall() == [(first,)]


async def test_a_second_transaction_with_the_key_waits_for_the_first(dsn, sql, alice):
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        first = submit_with_key(one, "x")
        second = asyncio.create_task(asyncio.to_thread(submit_with_key, other, "x"))
        waiting = "SELECT count(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        async with asyncio.timeout(10):
            while not sql.execute(waiting).fetchone().waiting:
                await asyncio.sleep(0.01)
        one.commit()

        assert await second == first


def test_a_program_needs_no_right_but_to_the_function(dsn, sql, alice):
    role = f"shop_{uuid4().hex[:8]}"
    sql.execute(f"CREATE ROLE {role}")
    try:
        sql.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("SELECT jobhub.submit_job('alice@example.org', 'test.greet', 'x')")
        sql.execute("RESET ROLE")
        sql.execute(f"GRANT USAGE ON SCHEMA jobhub TO {role}")
        sql.execute(f"GRANT EXECUTE ON FUNCTION jobhub.submit_job TO {role}")
        sql.execute(f"SET ROLE {role}")

        sql.execute("SELECT jobhub.submit_job('alice@example.org', 'test.greet', 'x')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("SELECT * FROM jobs")
        sql.execute(
            "CREATE TEMPORARY TABLE job_types AS SELECT 'shop.own'::text AS name, 'admin' AS queue, 'user' AS audience, 99 AS max_attempts"
        )
        sql.execute("GRANT SELECT ON job_types TO PUBLIC")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="no worker has ever known"):
            sql.execute("SELECT jobhub.submit_job('alice@example.org', 'shop.own', 'x')")
    finally:
        sql.execute("RESET ROLE")
        sql.execute(f"DROP OWNED BY {role}")
        sql.execute(f"DROP ROLE {role}")

    assert sql.execute("SELECT count(*) AS jobs FROM jobs").fetchone().jobs == 1


def test_a_trigger_may_submit(sql, alice):
    sql.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    sql.execute(
        """
        CREATE FUNCTION greet_customer() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM jobhub.submit_job('alice@example.org', 'test.greet', 'Order ' || new.id, jsonb_build_object('name', new.id::text));
            RETURN new;
        END $$
        """
    )
    sql.execute("CREATE TRIGGER greet AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION greet_customer()")

    sql.execute("INSERT INTO orders SELECT generate_series(1, 3)")

    assert [row.title for row in sql.execute("SELECT title FROM jobs ORDER BY title")] == ["Order 1", "Order 2", "Order 3"]


def blocks(language: str) -> list[str]:
    page = (Path(__file__).parents[1] / "docs" / "submitting-with-sql.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


async def test_what_the_guide_shows_works(dsn, sql, alice):
    sql.execute("INSERT INTO job_types VALUES ('invoice.send', 'default', 'user', 1, 60, 'Send an invoice', '{}', now())")
    sql.execute("INSERT INTO users VALUES (gen_random_uuid(), 'ada@example.org', '$argon2id$', 'user')")
    sql.execute("CREATE TABLE orders (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, customer text)")
    sql.execute("CREATE ROLE shop")
    place_order, (call, trigger, grants) = blocks("python")[0], blocks("sql")
    names: dict = {}
    exec(place_order, names)
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await names["place_order"](pool, "ada@example.org")
        for statements in (call, grants, trigger):
            sql.execute(statements)
        sql.execute("INSERT INTO orders (customer) VALUES ('ada@example.org')")
    finally:
        sql.execute("DROP OWNED BY shop")
        sql.execute("DROP ROLE shop")

    jobs = sql.execute("SELECT title, parameters, scheduled_for IS NOT NULL AS later FROM jobs ORDER BY created_at").fetchall()
    assert jobs == [
        ("Invoice of order 1", {"order_id": 1}, False),
        ("Invoice of order 7", {"order_id": 7}, True),
        ("Invoice of order 2", {"order_id": 2}, False),
    ]
