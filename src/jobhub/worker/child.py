"""The process in which one attempt of a plain `def` handler runs: the child's side of `worker.process_handler`.

Its standard output goes to the worker's log; what it has to tell its parent goes over the file descriptor it is given. When the parent
dies, its standard input ends, and it kills itself and everything it started.
"""

import importlib
import os
import resource
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from jobhub.domain.errors import JobFailed
from jobhub.domain.job_types import JobType, Registry
from jobhub.worker.process_handler import FailureMessage, Message, Order, ProgressMessage, ResultMessage
from jobhub.worker.texts import NotStorable, storable_result, storable_text, traceback_text


class ProcessContext:
    """The `ProcessJobContext` of a handler."""

    def __init__(self, order: Order, out: BinaryIO) -> None:
        import structlog

        self.job_id: UUID = order.job_id
        self.owner_id: UUID = order.owner_id
        self.attempt: int = order.attempt
        self.cancel_requested = False
        self.log = structlog.get_logger("jobhub.handler").bind(job_id=str(order.job_id), attempt=order.attempt)
        self._out = out

    def progress(self, percentage: float, message: str | None = None) -> None:
        try:
            report = ProgressMessage(float(percentage), None if message is None else storable_text(str(message)))
        except Exception:  # whatever the handler's own classes raise
            return
        tell(self._out, report)


def tell(out: BinaryIO, message: Message) -> None:
    """Send one line to the parent."""
    out.write(msgspec.json.encode(message) + b"\n")
    out.flush()


def main() -> None:
    """Read the order, run the handler, tell how it ended."""
    out = os.fdopen(int(sys.argv[1]), "wb")
    os.set_inheritable(out.fileno(), False)
    parent = _take_over_stdin()
    line, rest = _read_line(parent)
    order = msgspec.json.decode(line, type=Order)
    sys.path[:] = order.path
    context = ProcessContext(order, out)
    context.cancel_requested = bool(rest)
    threading.Thread(target=_watch_parent, args=(context, parent), daemon=True).start()
    if order.memory_limit_mb:
        limit = order.memory_limit_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    tell(out, _run(order, context))
    # Without waiting for threads the handler may have left behind, or for what they registered to run at exit.
    os._exit(0)


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


def _watch_parent(context: ProcessContext, parent: int) -> None:
    while os.read(parent, 100):
        context.cancel_requested = True
    os.killpg(os.getpid(), signal.SIGKILL)


def _run(order: Order, context: ProcessContext) -> Message:
    try:
        job_type = _job_type(order)
        parameters = msgspec.convert(order.parameters, job_type.parameters)
        return ResultMessage(storable_result(job_type.handler(context, parameters)))
    except JobFailed as error:
        return FailureMessage(
            storable_text(str(error.error_code), 100), storable_text(str(error.message)), traceback_text(error), error.retryable
        )
    except NotStorable as error:
        return FailureMessage("result_not_serialisable", str(error), "", retryable=False, is_storable=False)
    except MemoryError:
        text = f"The handler needed more than the {order.memory_limit_mb} MB it may use."
        return FailureMessage("memory_limit_exceeded", text, traceback.format_exc(limit=20), retryable=True)
    except BaseException as error:
        return FailureMessage("handler_error", f"The handler raised {type(error).__name__}.", traceback_text(error), retryable=True)


def _job_type(order: Order) -> JobType:
    module: Any = importlib.import_module(order.module)
    found = [declared for declared in Registry.from_modules([module]) if declared.handler.__qualname__ == order.name]
    return found[0]


if __name__ == "__main__":
    main()
