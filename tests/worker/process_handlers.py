"""Plain `def` handlers: they must be found by the module they are in, because they run in a process of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

import jobhub


class Act(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the handler is to do: one of the functions below, by its name."""

    act: str
    path: str = ""


@jobhub.job_type("process.act", memory_limit_mb=400, timeout_seconds=20)
def handler(ctx: jobhub.ProcessJobContext, params: Act) -> Any:
    return ACTS[params.act](ctx, params)


@jobhub.job_type("process.brief", timeout_seconds=1)
def brief(ctx: jobhub.ProcessJobContext, params: Act) -> Any:
    return ACTS[params.act](ctx, params)


def identify(ctx: jobhub.ProcessJobContext, params: Act) -> Any:
    return [str(ctx.job_id), str(ctx.owner_id), ctx.attempt, ctx.cancel_requested, os.getpid()]


def report_progress(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    ctx.progress(10, "started")
    ctx.progress("much", None)  # type: ignore[arg-type]
    ctx.progress(42.9, "nul \x00")
    raise jobhub.JobFailed("enough", code="enough", retryable=False)


def raise_value_error(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    raise ValueError("a secret")


def leave(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    os._exit(3)


def leave_with_0(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    os._exit(0)


def sys_exit(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    sys.exit()


def kill_itself(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_itself_strangely(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    os.kill(os.getpid(), signal.SIGRTMIN + 3)


def die_leaving_a_child(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    """A forked child has all our files open, also the one the parent listens to."""
    if not os.fork():
        time.sleep(600)
    os._exit(4)


def die_leaving_a_daemon(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    """The same in a session of its own: it outlives us."""
    if not os.fork():
        os.setsid()
        time.sleep(60)
        os._exit(0)
    os._exit(4)


def take_all_memory(ctx: jobhub.ProcessJobContext, params: Act) -> int:
    return len(bytearray(2_000_000_000))


def talk(ctx: jobhub.ProcessJobContext, params: Act) -> str:
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * 5_000_000 + "\n")
        stream.flush()
    return "said"


def much(ctx: jobhub.ProcessJobContext, params: Act) -> str:
    return "é" * 3_000_000


def too_much(ctx: jobhub.ProcessJobContext, params: Act) -> str:
    return "x" * 9_000_000


def no_json(ctx: jobhub.ProcessJobContext, params: Act) -> object:
    return object()


def strange_failure(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    raise jobhub.JobFailed(KeyError("size"), code="\ud800")  # type: ignore[arg-type]


def leave_a_thread(ctx: jobhub.ProcessJobContext, params: Act) -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"


def leave_a_child(ctx: jobhub.ProcessJobContext, params: Act) -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def read_stdin_in_a_child(ctx: jobhub.ProcessJobContext, params: Act) -> str:
    return subprocess.run(["cat"], capture_output=True, check=True).stdout.decode()


def hold(ctx: jobhub.ProcessJobContext, params: Act) -> None:
    """Tell who runs; then say when it is told to stop, and don't."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell(params.path, f"{os.getpid()} {grandchild.pid}")
    while not ctx.cancel_requested:
        time.sleep(0.01)
    tell(params.path, "told to stop")
    time.sleep(600)


def tell(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(line + "\n")


ACTS = {
    act.__name__: act
    for act in (
        identify,
        report_progress,
        raise_value_error,
        leave,
        leave_with_0,
        sys_exit,
        kill_itself,
        kill_itself_strangely,
        die_leaving_a_child,
        die_leaving_a_daemon,
        take_all_memory,
        talk,
        much,
        too_much,
        no_json,
        strange_failure,
        leave_a_thread,
        leave_a_child,
        read_stdin_in_a_child,
        hold,
    )
}
