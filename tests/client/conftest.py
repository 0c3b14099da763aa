"""A running service, accounts on it, and both clients behind one face."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobhub.client import AsyncClient, Client
from tests.acceptance.service import Service


class Awaited:
    """An AsyncClient as if it were a blocking one, so that one test is for both."""

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self.client = self._runner.run(self._make(url, options))

    @staticmethod
    async def _make(url: str, options: dict[str, Any]) -> AsyncClient:
        return AsyncClient(url, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            made = method(*args, **kwargs)
            return self._iterate(made) if inspect.isasyncgen(made) else self._runner.run(made)

        return call

    def _iterate(self, items: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items, None)

        try:
            while (item := self._runner.run(following())) is not None:
                yield item
        finally:
            self._runner.run(items.aclose())

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.close()


Connect = Callable[..., Any]


@pytest.fixture(params=[Client, Awaited], ids=["blocking", "asynchronous"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of one kind, and closes them."""
    made: list[Any] = []

    def make(url: str, **options: Any) -> Any:
        made.append(request.param(url, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def user(connect: Connect, jobhub_up: Service, account: tuple[str, str]) -> Any:
    """A user's client."""
    return connect(jobhub_up.url, email=account[0], password=account[1])


@pytest.fixture
def admin(connect: Connect, jobhub_up: Service, administrator: tuple[str, str]) -> Any:
    return connect(jobhub_up.url, email=administrator[0], password=administrator[1])
