"""How an operation of the client is written once for both kinds of program.

An operation is a generator: it yields what it wants done (`Send` a request, `Sleep`, …), is sent what came of it, and returns its
result. `blocking.Client` and `asynchronous.AsyncClient` do what it asks for, each in its own way. Nothing here does input or output.
"""

from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. `path` may have a query; `timeout_seconds` is for each read of the answer."""

    method: str
    path: str
    timeout_seconds: float
    headers: Mapping[str, str] = {}
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Send(msgspec.Struct, frozen=True):
    """Send it; the reply is an `Answer`. Raises NoAnswer."""

    request: Request


class Open(msgspec.Struct, frozen=True):
    """Send it and leave the answer open to be read, if its status is 200. The reply is an `Answer`. Raises NoAnswer."""

    request: Request


class Read(msgspec.Struct, frozen=True):
    """The next piece of what was opened, None at its end. Raises NoAnswer."""


class Sleep(msgspec.Struct, frozen=True):
    """Do nothing for a time."""

    seconds: float


class Renew(msgspec.Struct, frozen=True):
    """Get another access token than this one, which was refused; one at a time."""

    rejected: str | None


class Emit(msgspec.Struct, frozen=True):
    """Hand this to the caller, who asks for more when they want it."""

    item: Any


Effect = Send | Open | Read | Sleep | Renew | Emit
Steps = Generator[Effect, Any, T]
"""What an operation is that ends in one result."""


class Emitting(Generic[T]):
    """What an operation is that emits any number of items."""

    def __init__(self, steps: Steps[None]) -> None:
        self.steps = steps


class Script(Generic[T]):
    """An operation on its way: `effect` is what it wants done next, None when it has ended in `result`."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.effect: Effect | None = None
        self.result: T
        self.reply(None)

    def reply(self, value: Any) -> None:
        """Go on with what came of the effect."""
        try:
            self.effect = self._steps.send(value)
        except StopIteration as stop:
            self.effect, self.result = None, stop.value

    def fail(self, error: Exception) -> None:
        """Go on with the error that came of the effect."""
        try:
            self.effect = self._steps.throw(error)
        except StopIteration as stop:
            self.effect, self.result = None, stop.value

    def close(self) -> None:
        """Give up, wherever it is."""
        self._steps.close()
