"""A clean-up over HTTP lasts as long as its client waits."""

import asyncio

import psycopg

from tests.factories import token
from tests.services.test_clean_up import count, fill, settled
from tests.web.serving import serving


async def test_a_clean_up_ends_when_its_client_hangs_up_and_the_next_one_goes_on(
    dsn: str, sql: psycopg.Connection, registry, admin
) -> None:
    fill(sql, admin.id, 6000)
    async with serving(dsn, registry) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"DELETE /jobs/admin/cleanup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(admin)}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            while count(sql, "audit_log") < 2:
                await asyncio.sleep(0.001)

        writer.close()

        left = await settled(sql)
        again = await served.call(admin, "DELETE", "/jobs/admin/cleanup")
    recorded = sum(row.details["deleted"]["test.echo"] for row in sql.execute("SELECT details FROM audit_log").fetchall())
    assert 0 < left < 6000
    assert (again.status_code, again.json()["deleted"], recorded) == (200, left, 6000)


async def test_a_rehearsal_is_not_kept_from_its_work_by_a_clean_up(api, admin, sql) -> None:
    fill(sql, admin.id, 3)
    sql.execute("SELECT pg_advisory_lock(7203641858)")

    answer = await api.call(admin, "DELETE", "/jobs/admin/cleanup?dry_run=true")

    assert (answer.status_code, answer.json()["deleted"]) == (200, 3)
