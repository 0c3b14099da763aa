"""The least that can accept a job over HTTP: one Litestar handler, one statement written by hand, nothing checked.

    .venv/bin/python -m bench.bare_api DSN PORT

The same row and the same delivery as jobhub's, the same uvicorn settings and pool (no round trip to reset a connection). No accounts, no
validation beyond the body's types, no idempotency key, no place in the queue.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import uuid_utils.compat
from litestar import Litestar, post
from litestar.datastructures import State
from litestar.params import JSONBody

from jobhub.app import POOL_SIZE
from jobhub.server import serve

OWNER = "00000000-0000-7000-8000-000000000001"
INSERT = """
INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, delivery_id)
VALUES ($1, $2, $3::text, 'default', $4, $5, now(), deliver_job($1, $3::text, 'default', 0))
RETURNING id, status::text, created_at
"""


class Submission(msgspec.Struct):
    job_type: str
    title: str
    parameters: dict[str, Any]


@post("/jobs")
async def submit(data: JSONBody[Submission], state: State) -> dict[str, Any]:
    parameters = msgspec.json.encode(data.parameters).decode()
    row = await state.pool.fetchrow(INSERT, uuid_utils.compat.uuid7(), OWNER, data.job_type, data.title, parameters)
    return {"job_type": data.job_type, "title": data.title, "parameters": data.parameters, **row}


async def _nothing(connection: asyncpg.Connection) -> None:
    """A connection needs no reset."""


def create_app(dsn: str) -> Litestar:
    @asynccontextmanager
    async def pool(app: Litestar) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=0, max_size=POOL_SIZE, reset=_nothing) as app.state.pool:
            yield

    return Litestar(route_handlers=[submit], lifespan=[pool], openapi_config=None, logging_config=None)


if __name__ == "__main__":
    sys.exit(serve(create_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2])))
