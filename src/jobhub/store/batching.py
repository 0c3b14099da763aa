"""Sharing statements: all that arrives while one is on its way goes into the next one.

There is no timer: a lone item never waits for company. Not here: what a statement does with its items (`store.submissions`, `store.users`),
what is read for all who ask alike (`services.insight`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from jobhub.domain.errors import DatabaseUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# The API must answer within 3 s that the database is away, and has other things to do in this time.
PATIENCE_SECONDS = 2.5

_Waiting = tuple[Item, asyncio.Future[Answer]]


class Batches(Generic[Item, Answer]):
    """Calls `run(items)`, which answers each item in order, for as many items at once as their arrival makes it.

    At most `at_once` calls are on their way. A call takes what waits, in order of arrival: at most `max_items`, and of more than one at
    most `max_weight` together. Its items fail together only with DatabaseUnavailable, because then nobody knows what became of them;
    after any other error they are tried again in halves, until the guilty one stands alone.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        *,
        max_items: int,
        max_weight: int = 0,
        weigh: Callable[[Item], int] = lambda _item: 0,
        at_once: int = 1,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._run = run
        self._max_items = max_items
        self._max_weight = max_weight
        self._weigh = weigh
        self._at_once = at_once
        self._patience_seconds = patience_seconds
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._calls: set[asyncio.Task[None] | None] = set()

    async def put(self, item: Item) -> Answer:
        """The answer to one item. Whoever stops waiting takes it back, unless it is on its way already, and disturbs no other.

        Raises:
            DatabaseUnavailable: from `run`, or there was no answer in time; the item may have been dealt with all the same.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._calls) < self._at_once:
            self._calls.add(asyncio.create_task(self._run_all(), name="run batches"))
        deadline = loop.call_later(self._patience_seconds, _fail, answer, DatabaseUnavailable())
        try:
            return await answer
        finally:
            deadline.cancel()

    async def _run_all(self) -> None:
        try:
            while batch := self._take():
                await self._answer(batch)
        finally:
            # Here and not in a callback of the task: an item that came in between would find a call under way and wait for ever.
            self._calls.discard(asyncio.current_task())

    def _take(self) -> list[_Waiting[Item, Answer]]:
        batch: list[_Waiting[Item, Answer]] = []
        weight = 0
        while self._waiting and len(batch) < self._max_items:
            item, answer = self._waiting[0]
            if not answer.done():  # else its caller has gone
                weight += self._weigh(item)
                if batch and weight > self._max_weight:
                    break
                batch.append((item, answer))
            self._waiting.popleft()
        return batch

    async def _answer(self, batch: list[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._run([item for item, _ in batch])
        except DatabaseUnavailable as error:
            for _, answer in batch:
                _fail(answer, _copy(error))
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            half = len(batch) // 2
            await self._answer(batch[:half])
            await self._answer(batch[half:])
        except BaseException:  # the process ends
            for _, answer in batch:
                answer.cancel()
            raise
        else:
            for (_, answer), value in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(value)


class Shared(Generic[Answer]):
    """Calls `read` once for all who ask while it is on its way for others: what each of them is told was read after they asked."""

    def __init__(self, read: Callable[[], Awaitable[Answer]]) -> None:
        self._read = read
        self._current: asyncio.Task[Answer] | None = None
        self._next: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """What `read` returns. Whoever stops waiting disturbs no other.

        Raises:
            DatabaseUnavailable: from `read`, or from that of those who asked before: whoever asked meanwhile isn't made to wait again.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._current), name="read for all who ask")
        try:
            return await asyncio.shield(self._next)
        except DatabaseUnavailable as error:
            raise _copy(error) from error.__cause__

    async def _read_after(self, before: asyncio.Task[Answer] | None) -> Answer:
        try:
            if before and not before.done():
                await before
        finally:
            self._current, self._next = self._next, None
        return await self._read()


def _fail(answer: asyncio.Future[Answer], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _copy(error: DatabaseUnavailable) -> DatabaseUnavailable:
    """Each caller raises an error of its own: one that many raise collects the tracebacks of all."""
    copied = DatabaseUnavailable()
    copied.__cause__ = error.__cause__
    return copied
