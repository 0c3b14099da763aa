"""The client for programs on asyncio: the same operations as `blocking.Client`, awaited."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from jobhub.client import administration, following, http, operations
from jobhub.client.errors import ClientError
from jobhub.client.exchange import Session
from jobhub.client.steps import Effect, Emit, Emitting, Open, Read, Renew, Script, Send, Sleep, Steps
from jobhub.client.tokens import Tokens

P = ParamSpec("P")
T = TypeVar("T")


def _method(operation: Callable[Concatenate[Session, P], Steps[T]]) -> "Callable[Concatenate[AsyncClient, P], Awaitable[T]]":
    @functools.wraps(operation)
    async def method(client: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.run(operation(client.session, *args, **kwargs))

    return method


def _iterator(
    operation: Callable[Concatenate[Session, P], Emitting[T]],
) -> "Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]":
    @functools.wraps(operation)
    def method(client: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        return client.iterate(operation(client.session, *args, **kwargs))

    return method


class AsyncClient:
    """Speaks to one jobhub service as one user. Tasks of one event loop may share it. Arguments as of `Client`.

    Its iterators hold a connection: leave one early under `contextlib.aclosing`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        email: str | None = None,
        password: str | None = None,
        tokens: Tokens | None = None,
        timeout_seconds: float = 10.0,
        patience_seconds: float = 60.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.session = Session(
            tokens=tokens or Tokens(token, email=email, password=password),
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
        )
        self._base = _base_url(url)
        self._http = http or httpx.AsyncClient()
        self._is_http_ours = http is None
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        if self._is_http_ours:
            await self._http.aclose()

    submit = _method(operations.submit)
    get = _method(operations.get)
    get_page = _method(operations.get_page)
    list_jobs = _iterator(operations.list_jobs)
    wait = _method(operations.wait)
    wait_for_change = _method(operations.wait_for_change)
    watch = _iterator(following.watch)
    watch_own = _iterator(following.watch_own)
    cancel = _method(operations.cancel)
    retry = _method(operations.retry)
    list_attempts = _method(operations.list_attempts)
    list_job_types = _method(operations.list_job_types)
    me = _method(operations.me)
    log_in = _method(operations.log_in)
    log_out = _method(operations.log_out)

    list_all_jobs = _iterator(administration.list_all_jobs)
    statistics = _method(administration.statistics)
    queue_status = _method(administration.queue_status)
    force_complete = _method(administration.force_complete)
    pin = _method(administration.pin)
    unpin = _method(administration.unpin)
    clean_up = _method(administration.clean_up)
    list_users = _method(administration.list_users)
    create_user = _method(administration.create_user)
    change_user = _method(administration.change_user)

    async def run(self, steps: Steps[T]) -> T:
        """Do what an operation asks for, to its end."""
        script, wire = Script(steps), _Wire(self, self._http, self._base)
        try:
            while script.effect is not None:
                await _go_on(script, wire)
        finally:
            script.close()
            await wire.close()
        return script.result

    async def iterate(self, emitting: Emitting[T]) -> AsyncGenerator[T, None]:
        """The items of an operation, as they are asked for."""
        script, wire = Script(emitting.steps), _Wire(self, self._http, self._base)
        try:
            while script.effect is not None:
                if isinstance(script.effect, Emit):
                    yield script.effect.item
                    script.reply(None)
                else:
                    await _go_on(script, wire)
        finally:
            script.close()
            await wire.close()

    async def renew(self, rejected: str | None) -> None:
        """Get another token than this one; one task at a time."""
        async with self._renewing:
            await self.run(operations.renew(self.session, rejected))


_base_url = http.base_url  # the class has an argument called http


async def _go_on(script: Script[Any], wire: "_Wire") -> None:
    assert script.effect is not None
    try:
        reply = await wire.perform(script.effect)
    except httpx.RequestError as error:
        script.fail(http.no_answer(error))
    except ClientError as error:  # of the renewal
        script.fail(error)
    else:
        script.reply(reply)


class _Wire:
    """What one operation has open."""

    def __init__(self, client: AsyncClient, connections: httpx.AsyncClient, base: str) -> None:
        self._client = client
        self._connections = connections
        self._base = base
        self._stream: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def perform(self, effect: Effect) -> Any:
        """Do it; the reply."""
        match effect:
            case Send(asked):
                response = await self._connections.send(http.request(self._connections, self._base, asked))
                return http.answer(response, response.content)
            case Open(asked):
                await self.close()
                self._stream = response = await self._connections.send(http.request(self._connections, self._base, asked), stream=True)
                self._pieces = response.aiter_bytes() if response.status_code == 200 else None
                return http.answer(response, b"" if response.status_code == 200 else await response.aread())
            case Read():
                assert self._pieces is not None  # opened before
                return await anext(self._pieces, None)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Renew(rejected):
                return await self._client.renew(rejected)
            case _:
                raise TypeError(f"{effect!r} is not for here")

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
        self._stream = self._pieces = None
