"""Running one handler here and now, with a context that remembers what it was told. Not here: workers, timeouts, processes, retries."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from jobhub.domain.job_types import JobType, declared_job_type
from jobhub.domain.validation import convert
from jobhub.worker.texts import encoded_result


class Report(msgspec.Struct, frozen=True):
    """One call of `ctx.progress`."""

    percentage: float
    message: str | None


class LogEntry(msgspec.Struct, frozen=True):
    """One call of `ctx.log`."""

    level: str
    event: str
    fields: dict[str, Any]


class HandlerRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a handler ended: its result as the user would read it, and what it said on the way."""

    job_id: UUID
    result: Any
    reports: list[Report]
    log: list[LogEntry]


OnReport = Callable[[Report], object]


def run_handler(
    handler: Callable[..., Any],
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    job_id: UUID | None = None,
    owner_id: UUID | None = None,
    attempt: int = 1,
    cancel_requested: bool = False,
    on_report: OnReport | None = None,
) -> HandlerRun:
    """Run a handler with these parameters, checked as a submit checks them. `job_id` stays the same over the attempts of a job.

    Raises:
        InvalidInput: the parameters don't fit; `errors` names every field.
        NotStorable: the result is no JSON.
        JobFailed, or anything else: as the handler raised it.
    """
    declared = declared_job_type(handler)
    context = _Context(declared, job_id, owner_id, attempt, cancel_requested, on_report)
    if declared.runs_in_process:
        return context.run_with(handler(_ProcessContext(context), _converted(parameters, declared)))
    return asyncio.run(_run(handler, context, _converted(parameters, declared)))


async def run_handler_async(
    handler: Callable[..., Any],
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    job_id: UUID | None = None,
    owner_id: UUID | None = None,
    attempt: int = 1,
    cancel_requested: bool = False,
    on_report: OnReport | None = None,
) -> HandlerRun:
    """As `run_handler`, for an `async def` handler in a test that is one itself."""
    declared = declared_job_type(handler)
    context = _Context(declared, job_id, owner_id, attempt, cancel_requested, on_report)
    return await _run(handler, context, _converted(parameters, declared))


async def _run(handler: Callable[..., Any], context: "_Context", parameters: Any) -> HandlerRun:
    return context.run_with(await handler(_CoroutineContext(context), parameters))


def _converted(parameters: Mapping[str, Any] | msgspec.Struct | None, declared: JobType) -> Any:
    """By way of JSON, as they come to a worker."""
    return convert(msgspec.json.decode(msgspec.json.encode(parameters or {})), declared.parameters, pointer="/parameters")


class _Context:
    """What a handler is told, and what it tells."""

    def __init__(
        self,
        declared: JobType,
        job_id: UUID | None,
        owner_id: UUID | None,
        attempt: int,
        cancel_requested: bool,
        on_report: OnReport | None,
    ) -> None:
        self.job_type = declared.name
        self.job_id = job_id or uuid.uuid4()
        self.owner_id = owner_id or uuid.uuid4()
        self.attempt = attempt
        self.cancel_requested = cancel_requested
        self.entries: list[LogEntry] = []
        self.reports: list[Report] = []
        self._on_report = on_report

    def report(self, percentage: float, message: str | None) -> None:
        report = Report(percentage, message)
        self.reports.append(report)
        if self._on_report:
            self._on_report(report)

    def run_with(self, result: Any) -> HandlerRun:
        encoded = encoded_result(result)
        read = None if encoded is None else msgspec.json.decode(encoded)
        return HandlerRun(job_id=self.job_id, result=read, reports=self.reports, log=self.entries)


class _HandlerContext:
    """What both kinds of context have."""

    def __init__(self, context: _Context) -> None:
        self._context = context
        self.job_id = context.job_id
        self.owner_id = context.owner_id
        self.attempt = context.attempt
        self.log = _Log(context.entries, {})

    @property
    def cancel_requested(self) -> bool:
        return self._context.cancel_requested


class _CoroutineContext(_HandlerContext):
    """The `JobContext`."""

    async def progress(self, percentage: float, message: str | None = None) -> None:
        self._context.report(percentage, message)
        await asyncio.sleep(0)


class _ProcessContext(_HandlerContext):
    """The `ProcessJobContext`."""

    def progress(self, percentage: float, message: str | None = None) -> None:
        self._context.report(percentage, message)


class _Log:
    """Has the methods of a structlog logger that handlers use."""

    def __init__(self, entries: list[LogEntry], bound: dict[str, Any]) -> None:
        self._entries = entries
        self._bound = bound

    def bind(self, **fields: Any) -> "_Log":
        return _Log(self._entries, self._bound | fields)

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level not in ("debug", "info", "warning", "error", "critical", "exception"):
            raise AttributeError(level)

        def log(event: str, **fields: Any) -> None:
            self._entries.append(LogEntry(level, event, self._bound | fields))

        return log
