"""Every way in which a database can be away: 503 with Retry-After in time, never a 500 and never a wait without end."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import answers
from jobhub.store.patience import patience
from jobhub.web import edge
from tests import factories
from tests.web.test_health import api_on
from tests.worker.relay import relay_to

# The promise is 3 s; the machine that runs the tests may be busy. Without the limits these would take 30 s, or for ever.
BOUND_SECONDS = 8


async def answer(api, user, method="GET", path="/jobs", body=...):
    async with asyncio.timeout(BOUND_SECONDS):
        return await api.call(user, method, path, body)


def assert_unavailable(response):
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert int(response.headers["retry-after"]) >= 1


async def assert_away(api, user):
    """All of it at once: reading, writing, health."""
    listed, submitted, ready, live = await asyncio.gather(
        answer(api, user),
        answer(api, user, "POST", "/jobs", {"job_type": "test.echo", "title": "x"}),
        answer(api, None, "GET", "/readyz"),
        answer(api, None, "GET", "/livez"),
    )
    assert_unavailable(listed)
    assert_unavailable(submitted)
    assert (ready.status_code, live.status_code) == (503, 200)
    assert "retry-after" in ready.headers


@asynccontextmanager
async def relayed(dsn, registry):
    async with relay_to(dsn) as relay, api_on(relay.dsn, registry) as api:
        yield relay, api


async def until_it_works(api, user):
    async with asyncio.timeout(BOUND_SECONDS):
        while (await api.call(user, "GET", "/jobs")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_connections_that_are_cut_and_refused(dsn, registry, alice):
    async with relayed(dsn, registry) as (relay, api):
        assert (await answer(api, alice)).status_code == 200
        relay.cut()

        await assert_away(api, alice)
        relay.restore()
        await until_it_works(api, alice)


async def test_a_black_hole_under_established_connections(dsn, registry, alice):
    async with relayed(dsn, registry) as (relay, api):
        await asyncio.gather(*(answer(api, alice) for _ in range(4)))
        relay.freeze()

        await assert_away(api, alice)
        relay.restore()
        await until_it_works(api, alice)


async def test_a_black_hole_under_established_connections_alone(dsn, registry, alice):
    async with relayed(dsn, registry) as (relay, api):
        await asyncio.gather(*(answer(api, alice) for _ in range(4)))
        relay.freeze_present_ones()

        assert_unavailable(await answer(api, alice))
        await until_it_works(api, alice)


async def test_a_black_hole_under_a_long_statement(dsn, registry, admin, sql):
    """It is granted half a minute, but not on a server that talks to nobody."""
    async with relayed(dsn, registry) as (relay, api):
        with sql.transaction():
            sql.execute("LOCK TABLE procrastinate_jobs")
            asking = asyncio.create_task(answer(api, admin, "GET", "/jobs/admin/statistics"))
            async with asyncio.timeout(BOUND_SECONDS):
                while not sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount:
                    await asyncio.sleep(0.01)
            relay.freeze()

            assert_unavailable(await asking)


async def test_a_long_statement_may_take_longer_than_others(dsn, registry, admin, sql, monkeypatch):
    monkeypatch.setattr(edge, "DATABASE_SECONDS", 0.5)
    monkeypatch.setattr(answers, "_WATCH_SECONDS", 0.1)
    async with api_on(dsn, registry) as api:
        with sql.transaction():
            sql.execute("LOCK TABLE procrastinate_jobs")
            asking = asyncio.create_task(api.call(admin, "GET", "/jobs/admin/statistics"))
            done, _ = await asyncio.wait({asking}, timeout=1.5)
            assert not done

        assert (await asking).status_code == 200


async def test_more_requests_than_connections(dsn, registry, alice, sql):
    async with api_on(dsn, registry) as api:
        with sql.transaction():
            sql.execute("LOCK TABLE users")
            responses = await asyncio.gather(*(answer(api, alice) for _ in range(40)))
            live = await answer(api, None, "GET", "/livez")
        for response in responses:
            assert_unavailable(response)
        assert live.status_code == 200
        await until_it_works(api, alice)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("57P03", "the database system is starting up"),
        ("53300", "sorry, too many clients already"),
        ("28000", "no pg_hba.conf entry"),
        ("28P01", "password authentication failed"),
        ("3D000", "database does not exist"),
    ],
)
async def test_a_server_that_refuses_the_login(registry, sqlstate, message):
    async def refuse(reader, writer):
        length = struct.unpack("!i", await reader.readexactly(4))[0]
        await reader.readexactly(length - 4)
        fields = b"".join(
            kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message))
        )
        writer.write(b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    nobody = factories.User(id=factories.new_id(), email="a@b.c", role="user", disabled=False, created_at=None)
    async with server, api_on(f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable", registry) as api:
        await assert_away(api, nobody)


async def test_a_server_that_is_read_only_still_reads(dsn, registry, alice, sql):
    """Half of a failover. Its connections are not kept: the next one may lead to the new primary."""
    async with api_on(dsn, registry) as api:
        sql.execute(f"ALTER DATABASE {sql.info.dbname} SET default_transaction_read_only = on")

        submitted = await answer(api, alice, "POST", "/jobs", {"job_type": "test.echo", "title": "x"})
        listed = await answer(api, alice)

        assert_unavailable(submitted)
        assert listed.status_code == 200
        sql.execute("SET default_transaction_read_only = off")
        sql.execute(f"ALTER DATABASE {sql.info.dbname} RESET default_transaction_read_only")
        async with asyncio.timeout(BOUND_SECONDS):
            while (await api.call(alice, "POST", "/jobs", {"job_type": "test.echo", "title": "x"})).status_code != 201:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("sqlstate", ["53100", "53200", "58030", "42501", "40P01", "57014"])
async def test_a_server_that_refuses_a_write(dsn, registry, alice, sql, sqlstate):
    """Its disk is full or fails, its memory is used up, a right was revoked, somebody cancelled the statement."""
    sql.execute(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    async with api_on(dsn, registry) as api:
        submitted = await answer(api, alice, "POST", "/jobs", {"job_type": "test.echo", "title": "x"})
        listed = await answer(api, alice)

        assert_unavailable(submitted)
        assert listed.status_code == 200
        sql.execute("DROP TRIGGER refuse ON jobs")
        assert (await answer(api, alice, "POST", "/jobs", {"job_type": "test.echo", "title": "x"})).status_code == 201


async def test_statements_share_the_patience_of_a_request(db, sql):
    """Each alone would be allowed two and a half seconds."""
    loop = asyncio.get_running_loop()
    with sql.transaction():
        sql.execute("LOCK TABLE users")
        started_at = loop.time()
        with patience(0.5):
            for _ in range(5):
                with pytest.raises(DatabaseUnavailable):
                    await db.fetch("list_users")
        assert loop.time() - started_at < BOUND_SECONDS
    assert await db.fetch("list_users") == []


async def test_a_task_that_serves_others_has_a_patience_of_its_own(db):
    with patience(0.0):
        assert await asyncio.create_task(db.fetch("list_users")) == []
