"""Job types: a name, a handler, the shape of its parameters, and its policies.

`job_type` is the decorator handler authors use; a `Registry` is what the API and the workers look names up in.
Not here: how handlers are found (`handlers.load_registry`) and how they are run (`worker.run_job`).
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from types import ModuleType
from typing import Any, Literal, TypeVar

import msgspec

from jobhub.domain.errors import OperatorError

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
MAX_NAME_LENGTH = 100
# Procrastinate notifies on 'procrastinate_queue_v1#<queue>', and PostgreSQL allows 63 bytes for a channel.
QUEUE_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,19}")
DEFAULT_TIMEOUT_SECONDS = 3600.0  # nothing may run for ever; a longer job says so


class Audience(StrEnum):
    """Who may submit jobs of a type."""

    USER = "user"
    ADMIN = "admin"


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """When a failed attempt is followed by another one without being asked.

    `max_attempts` counts failed attempts since the submit or the last manual retry; 1 means a failure is final until
    somebody retries it. Attempts that were released or lost with their worker don't count.
    """

    max_attempts: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 100:
            raise ValueError(f"max_attempts must be from 1 to 100, not {self.max_attempts}")


class JobType(msgspec.Struct, frozen=True, kw_only=True):
    """A registered name with all that belongs to it. `runs_in_process` is true for a plain `def` handler."""

    name: str
    handler: Callable[..., Any]
    parameters: type[msgspec.Struct]
    summary: str
    queue: str = "default"
    audience: Audience = Audience.USER
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    retry: Retry = Retry()
    memory_limit_mb: int | None = None

    @property
    def runs_in_process(self) -> bool:
        return not inspect.iscoroutinefunction(self.handler)


class InvalidParameter(ValueError):
    """Raise this in a parameter struct's `__post_init__` to name the field that is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


F = TypeVar("F", bound=Callable[..., Any])
_ATTRIBUTE = "__jobhub_job_type__"


def job_type(
    name: str,
    *,
    queue: str = "default",
    audience: Literal["user", "admin"] = "user",
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    retry: Retry = Retry(),  # noqa: B008 - frozen
    memory_limit_mb: int | None = None,
) -> Callable[[F], F]:
    """Make the decorated function the handler of jobs of type `name`.

    The function takes a `JobContext` and its parameters, a `msgspec.Struct` named by the annotation of the second
    argument, and returns JSON. `async def` runs on the worker's event loop; a plain `def` runs in a process of its own,
    which cancel, `timeout_seconds` and `memory_limit_mb` can kill. The first line of the docstring is the summary users see.

    Raises:
        OperatorError: the declaration can't work; the message says why.
    """

    def register(handler: F) -> F:
        declared = JobType(
            name=name,
            handler=handler,
            parameters=_parameters_type(name, handler),
            summary=(inspect.getdoc(handler) or name).partition("\n")[0],
            queue=queue,
            audience=Audience(audience),
            timeout_seconds=timeout_seconds,
            retry=retry,
            memory_limit_mb=memory_limit_mb,
        )
        _check(declared)
        setattr(handler, _ATTRIBUTE, declared)
        return handler

    return register


def declared_job_type(handler: Callable[..., Any]) -> JobType:
    """What `job_type` made of a handler. Raises OperatorError: it was never decorated."""
    declared = getattr(handler, _ATTRIBUTE, None)
    if not isinstance(declared, JobType):
        raise OperatorError(f"{_where_is(handler)} is no handler: decorate it with @jobhub.job_type.")
    return declared


class Registry:
    """The job types one process knows, by name."""

    def __init__(self, job_types: Iterable[JobType] = ()) -> None:
        self._by_name: dict[str, JobType] = {}
        for declared in job_types:
            self._add(declared)

    @classmethod
    def from_modules(cls, modules: Iterable[ModuleType]) -> Registry:
        """Collect every handler that is a member of one of `modules`; one imported by two of them counts once."""
        found = (getattr(member, _ATTRIBUTE, None) for module in modules for member in vars(module).values())
        return cls(declared for declared in found if isinstance(declared, JobType))

    def _add(self, declared: JobType) -> None:
        present = self._by_name.setdefault(declared.name, declared)
        if present is not declared:
            raise OperatorError(
                f"Two handlers claim the job type {declared.name!r}: {_where(present)} and {_where(declared)}. Rename one of them."
            )

    def get(self, name: str) -> JobType | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[JobType]:
        """All job types, by name."""
        return iter(sorted(self._by_name.values(), key=lambda declared: declared.name))

    @property
    def queues(self) -> frozenset[str]:
        return frozenset(declared.queue for declared in self._by_name.values())


def _parameters_type(name: str, handler: Callable[..., Any]) -> type[msgspec.Struct]:
    arguments = list(inspect.signature(handler).parameters)
    hint = typing.get_type_hints(handler, include_extras=True).get(arguments[1]) if len(arguments) == 2 else None
    if not (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        raise OperatorError(
            f"The handler of {name!r} must take (ctx, params), with params annotated as a msgspec.Struct: {_where_is(handler)}."
        )
    return hint


def _check(declared: JobType) -> None:
    problem = None
    if len(declared.name) > MAX_NAME_LENGTH or not NAME_PATTERN.fullmatch(declared.name):
        problem = "its name must be lower-case words joined by dots, like 'image.resize', at most 100 characters"
    elif not QUEUE_PATTERN.fullmatch(declared.queue):
        problem = f"the queue {declared.queue!r} must be 1 to 20 of a-z, 0-9, '-' and '_', starting with a letter"
    elif not 0 < declared.timeout_seconds <= 7 * 86400:
        problem = "timeout_seconds must be more than 0 and at most a week"
    elif declared.memory_limit_mb is not None and not declared.runs_in_process:
        problem = "memory_limit_mb needs a plain `def` handler, which runs in a process of its own"
    if problem:
        raise OperatorError(f"The job type {declared.name!r} can't be registered: {problem} ({_where(declared)}).")


def _where(declared: JobType) -> str:
    return _where_is(declared.handler)


def _where_is(handler: Callable[..., Any]) -> str:
    return f"{handler.__module__}.{handler.__qualname__}"
