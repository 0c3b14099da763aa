"""Plain `def` handlers: each attempt in a process of its own, which can be killed with everything it started.

The parent's side. Over the child's standard input go one line with the order and, when it is time, one that says to stop; over a pipe
of its own come lines of JSON: progress, and at the end a result or a failure. Not here: the child's side (`worker.child`).
"""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any
from uuid import UUID

import msgspec

from jobhub.domain.errors import JobFailed
from jobhub.domain.job_types import JobType
from jobhub.worker.progress import Progress
from jobhub.worker.running import RunningJob
from jobhub.worker.texts import MAX_RESULT_BYTES, NotStorable

# How long a handler that was told to stop may tidy up before it is killed.
KILL_AFTER_SECONDS = 2.0
MAX_LINE_BYTES = 2 * MAX_RESULT_BYTES


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to run."""

    module: str
    name: str
    job_id: UUID
    owner_id: UUID
    attempt: int
    parameters: dict[str, Any]
    memory_limit_mb: int | None
    path: list[str]


class ProgressMessage(msgspec.Struct, frozen=True, tag="progress"):
    percentage: float
    message: str | None


class ResultMessage(msgspec.Struct, frozen=True, tag="result"):
    result: Any


class FailureMessage(msgspec.Struct, frozen=True, tag="failure"):
    """`is_storable` false: the handler returned what is no JSON."""

    code: str
    message: str
    traceback: str
    retryable: bool
    is_storable: bool = True


Message = ProgressMessage | ResultMessage | FailureMessage


class HandlerFailed(JobFailed):
    """A failure in the child, with the traceback it had there."""

    def __init__(self, failure: FailureMessage) -> None:
        super().__init__(failure.message, code=failure.code, retryable=failure.retryable)
        self.add_note(failure.traceback)


async def run_in_process(job_type: JobType, running: RunningJob, progress: Progress) -> Any:
    """The handler's result.

    Raises:
        JobFailed: the handler failed, or its process died.
        NotStorable: what it returned is no JSON.
    """
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jobhub.worker.child",
            str(write_end),
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr,
            pass_fds=(write_end,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(read_end)
        raise JobFailed(f"The handler's process could not be started: {error.strerror}.", code="process_not_started") from error
    finally:
        os.close(write_end)
    burial = asyncio.create_task(_bury(process), name="bury a handler's process")
    try:
        return await _converse(process, _order(job_type, running), read_end, progress)
    finally:
        # Whatever the handler has started goes with it, also after a success.
        _kill_group(process)
        await burial


async def _bury(process: asyncio.subprocess.Process) -> None:
    """When it has died, kill what it started: that would hold our pipe open, and us with it."""
    await process.wait()
    _kill_group(process)


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _order(job_type: JobType, running: RunningJob) -> Order:
    claimed = running.claimed
    return Order(
        module=job_type.handler.__module__,
        name=job_type.handler.__qualname__,
        job_id=claimed.id,
        owner_id=claimed.owner_id,
        attempt=claimed.attempt,
        parameters=claimed.parameters,
        memory_limit_mb=job_type.memory_limit_mb,
        path=sys.path,
    )


async def _converse(process: asyncio.subprocess.Process, order: Order, read_end: int, progress: Progress) -> Any:
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    pipe = os.fdopen(read_end, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        await _send(process, msgspec.json.encode(order))
        return await _listen(process, reader, progress)
    except asyncio.CancelledError:
        await _send(process, b"stop")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), KILL_AFTER_SECONDS)
        raise
    finally:
        transport.close()


async def _send(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it died; its exit status says more
        process.stdin.write(line + b"\n")
        await process.stdin.drain()


async def _listen(process: asyncio.subprocess.Process, reader: asyncio.StreamReader, progress: Progress) -> Any:
    while line := await reader.readline():
        match msgspec.json.decode(line, type=Message):
            case ProgressMessage(percentage=percentage, message=message):
                progress.report(percentage, message)
            case ResultMessage(result=result):
                return result
            case FailureMessage(is_storable=False, message=text):
                raise NotStorable(text)
            case FailureMessage() as failure:
                raise HandlerFailed(failure)
    raise _died(await process.wait())


def _died(status: int) -> JobFailed:
    how = f"was killed by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"ended with status {status}"
    return JobFailed(f"The handler's process {how} before it gave a result.", code="process_died")
