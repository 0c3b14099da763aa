"""The process in which one attempt runs: the child's side of `worker.process_handler`.

What it prints goes to the worker's log; what it has to tell its parent goes over the file descriptor it is given. When the parent
dies, its standard input ends, and it kills itself and everything it started. It starts for every attempt: keep its imports few.
"""

import importlib
import os
import resource
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from jobhub.domain.errors import JobFailed
from jobhub.domain.job_types import JobType, Registry
from jobhub.worker.child_context import CoroutineContext, Parent, ProcessContext, Stop
from jobhub.worker.messages import FailureMessage, Message, Order, ResultMessage, StartedMessage
from jobhub.worker.texts import NotStorable, storable_result, storable_text, traceback_text

# Of 1000: when the machine runs out of memory, the kernel takes a handler's process, not its worker or the database.
OOM_SCORE = "800"
# What a handler that has used up its memory leaves to say so with.
SPARE_BYTES = 64 * 1024 * 1024


def main() -> None:
    """Read the order, run the handler, tell how it ended."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    out = os.fdopen(int(sys.argv[1]), "wb")
    os.set_inheritable(out.fileno(), False)
    descriptor = _take_over_stdin()
    line, rest = _read_line(descriptor)
    order = msgspec.json.decode(line, type=Order)
    sys.path[:] = order.path
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parent, stop = Parent(out), Stop()
    if rest:
        stop.ask(rest)
    threading.Thread(target=_watch_parent, args=(stop, descriptor), daemon=True).start()
    _limit_memory(order)
    status = 1
    try:
        _tell_end(_run(order, parent, stop), parent, pid=os.getpid())
        status = 0
    finally:
        # Without waiting for threads the handler may have left behind, or for what they registered to run at exit.
        os._exit(status)


def _take_over_stdin() -> int:
    """The parent's end of our standard input, under a number that programs the handler starts don't inherit: they would read from it."""
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return parent


def _read_line(descriptor: int) -> tuple[bytes, bytes]:
    """The first line, and what came with it after its end."""
    received = bytearray()
    while b"\n" not in received:
        part = os.read(descriptor, 65536)
        if not part:
            sys.exit("The worker has gone before it said what to do.")
        received += part
    line, _, rest = received.partition(b"\n")
    return bytes(line), bytes(rest)


def _watch_parent(stop: Stop, descriptor: int) -> None:
    with suppress(OSError):  # the handler has closed what isn't its own
        while words := os.read(descriptor, 100):
            stop.ask(words)
    os.killpg(os.getpid(), signal.SIGKILL)


def _limit_memory(order: Order) -> None:
    if order.memory_limit_mb:
        limit = order.memory_limit_mb * 1024 * 1024
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        hard = limit + SPARE_BYTES if hard == resource.RLIM_INFINITY else min(hard, limit + SPARE_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (min(limit, hard), hard))


def _tell_end(message: Message, parent: Parent, *, pid: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    if os.getpid() == pid:  # a copy the handler forked comes here too, and has nothing to say
        parent.tell(message)


def _run(order: Order, parent: Parent, stop: Stop) -> Message:
    try:
        job_type = _job_type(order)
        parameters = msgspec.convert(order.parameters, job_type.parameters)
        parent.tell(StartedMessage())
        if job_type.runs_in_process:
            result = job_type.handler(ProcessContext(order, parent, stop), parameters)
        else:
            result = _run_coroutine(job_type, CoroutineContext(order, parent, stop), parameters, stop)
        return ResultMessage(storable_result(result))
    except JobFailed as error:
        return FailureMessage(
            storable_text(error.error_code, 100), storable_text(error.message), traceback_text(error), bool(error.retryable)
        )
    except NotStorable as error:
        return FailureMessage("result_not_serialisable", str(error), "", retryable=False, is_storable=False)
    except MemoryError as error:
        return _memory_exceeded(order, error)
    except BaseException as error:
        return FailureMessage("handler_error", f"The handler raised {type(error).__name__}.", traceback_text(error), retryable=True)


def _run_coroutine(job_type: JobType, context: CoroutineContext, parameters: Any, stop: Stop) -> Any:
    import asyncio

    async def run() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        stop.on_ask(lambda: loop.call_soon_threadsafe(task.cancel))
        return await job_type.handler(context, parameters)

    # Not asyncio.run: that waits for tasks the handler may have left behind.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(run())
    except asyncio.CancelledError as error:
        message = "Something inside the handler cancelled it, though nobody had asked for that."
        raise JobFailed(message, code="cancelled_internally") from error


def _memory_exceeded(order: Order, error: MemoryError) -> Message:
    traceback.clear_frames(error.__traceback__)
    if not order.memory_limit_mb:
        return FailureMessage("handler_error", "The handler raised MemoryError.", traceback_text(error), retryable=True)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    text = f"The handler needed more than the {order.memory_limit_mb} MB it may use."
    return FailureMessage("memory_limit_exceeded", text, traceback_text(error), retryable=True)


def _job_type(order: Order) -> JobType:
    module: Any = importlib.import_module(order.module)
    found = Registry.from_modules([module]).get(order.job_type)
    if found is None:
        raise LookupError(f"{order.module} has no handler of {order.job_type!r} at its top level")
    return found


if __name__ == "__main__":
    main()
