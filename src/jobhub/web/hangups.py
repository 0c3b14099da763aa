"""Clients that hang up while their answer is being waited for: nothing is done for them any longer."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar import Response
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import Receive

T = TypeVar("T")


async def until_gone(receive: Receive) -> None:
    """Return when the client has hung up, or has its whole answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns or raises; None if the client hangs up first, and the work is cancelled then."""
    working = asyncio.create_task(work, name="work for a client")
    gone = asyncio.create_task(until_gone(receive), name="watch a client")
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.wait({working, gone})


def answer_to_nobody() -> Response[Any]:
    """What a request that lost its client ends with, since it has to end with something."""
    return Response(None, status_code=HTTP_204_NO_CONTENT)
