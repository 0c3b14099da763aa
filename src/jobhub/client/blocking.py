"""The client for ordinary programs. What it does is in `operations`, `following` and `administration`; here is only how."""

import functools
import threading
import time
from collections.abc import Callable, Generator, Iterator
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


def _method(operation: Callable[Concatenate[Session, P], Steps[T]]) -> "Callable[Concatenate[Client, P], T]":
    @functools.wraps(operation)
    def method(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.run(operation(client.session, *args, **kwargs))

    return method


def _iterator(operation: Callable[Concatenate[Session, P], Emitting[T]]) -> "Callable[Concatenate[Client, P], Generator[T, None, None]]":
    @functools.wraps(operation)
    def method(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return client.iterate(operation(client.session, *args, **kwargs))

    return method


class Client:
    """Speaks to one jobhub service as one user. Threads may share it.

    A token alone works until it expires, a quarter of an hour; with e-mail address and password, or with `Tokens`, it is renewed.
    `timeout_seconds` is for a connection and each read, `patience_seconds` for how long a call is tried again in all. `http` is an
    httpx client of your own, for proxies and certificates; it is then yours to close.
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
        http: httpx.Client | None = None,
    ) -> None:
        self.session = Session(
            tokens=tokens or Tokens(token, email=email, password=password),
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
        )
        self._base = _base_url(url)
        self._http = http or httpx.Client()
        self._is_http_ours = http is None
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        if self._is_http_ours:
            self._http.close()

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

    def run(self, steps: Steps[T]) -> T:
        """Do what an operation asks for, to its end."""
        script, wire = Script(steps), _Wire(self, self._http, self._base)
        try:
            while script.effect is not None:
                _go_on(script, wire)
        finally:
            script.close()
            wire.close()
        return script.result

    def iterate(self, emitting: Emitting[T]) -> Generator[T, None, None]:
        """The items of an operation, as they are asked for. Close it, or let it go, to end early."""
        script, wire = Script(emitting.steps), _Wire(self, self._http, self._base)
        try:
            while script.effect is not None:
                if isinstance(script.effect, Emit):
                    yield script.effect.item
                    script.reply(None)
                else:
                    _go_on(script, wire)
        finally:
            script.close()
            wire.close()

    def renew(self, rejected: str | None) -> None:
        """Get another token than this one; one thread at a time."""
        with self._renewing:
            self.run(operations.renew(self.session, rejected))


_base_url = http.base_url  # the class has an argument called http


def _go_on(script: Script[Any], wire: "_Wire") -> None:
    assert script.effect is not None
    try:
        reply = wire.perform(script.effect)
    except httpx.RequestError as error:
        script.fail(http.no_answer(error))
    except ClientError as error:  # of the renewal
        script.fail(error)
    else:
        script.reply(reply)


class _Wire:
    """What one operation has open."""

    def __init__(self, client: Client, connections: httpx.Client, base: str) -> None:
        self._client = client
        self._connections = connections
        self._base = base
        self._stream: httpx.Response | None = None
        self._pieces: Iterator[bytes] | None = None

    def perform(self, effect: Effect) -> Any:
        """Do it; the reply."""
        match effect:
            case Send(asked):
                response = self._connections.send(http.request(self._connections, self._base, asked))
                return http.answer(response, response.content)
            case Open(asked):
                self.close()
                self._stream = response = self._connections.send(http.request(self._connections, self._base, asked), stream=True)
                self._pieces = response.iter_bytes() if response.status_code == 200 else None
                return http.answer(response, b"" if response.status_code == 200 else response.read())
            case Read():
                assert self._pieces is not None  # opened before
                return next(self._pieces, None)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Renew(rejected):
                return self._client.renew(rejected)
            case _:
                raise TypeError(f"{effect!r} is not for here")

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = self._pieces = None
