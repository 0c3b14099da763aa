"""docs/submitting-from-sql.md: its Python is run in a transaction, its SQL as it stands."""

import sys
from uuid import UUID

import asyncpg
import psycopg

from tests.contract.documents import blocks
from tests.factories import make_user

GUIDE = "docs/submitting-from-sql.md"


async def test_the_python_block_submits_with_the_order(dsn, sql, tmp_path, monkeypatch):
    (tmp_path / "shop_jobs.py").write_text(blocks("docs/writing-handlers.md", "python")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    make_user(sql, "ada@example.org")
    sql.execute("CREATE TABLE orders (name text)")
    namespace: dict = {}
    (block,) = blocks(GUIDE, "python")
    exec(block, namespace)
    sys.modules.pop("shop_jobs", None)

    connection = await asyncpg.connect(dsn)
    try:
        await namespace["take_order"](connection, "A-7")
    finally:
        await connection.close()

    job = sql.execute("SELECT parameters, max_attempts FROM jobs").fetchone()
    assert (job.parameters["order"], job.max_attempts) == ("A-7", 5)
    assert sql.execute("SELECT name FROM orders").fetchone().name == "A-7"


def test_the_sql_blocks_run(sql: psycopg.Connection):
    make_user(sql, "ada@example.org")
    calls, grants = blocks(GUIDE, "sql")

    for call in calls.split(";")[:2]:
        assert isinstance(sql.execute(call).fetchone()[0], UUID)
    with sql.transaction(force_rollback=True):
        sql.execute(grants)

    assert [row.title for row in sql.execute("SELECT title FROM jobs ORDER BY created_at").fetchall()] == ["shop.charge", "Order A-8"]
