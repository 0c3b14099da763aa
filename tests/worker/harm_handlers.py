"""Handlers that do what no handler should: one job type for each process they may run in, one function per harm."""

import asyncio
import ctypes
import locale
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import msgspec

import jobhub

MEGABYTES_50 = 50_000_000


class Act(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do: a function of this module, by its name. Poison waits for a file `PATH.go`."""

    act: str
    path: str = ""


@jobhub.job_type("harm.process", memory_limit_mb=800, timeout_seconds=120)
def process(ctx: jobhub.ProcessJobContext, params: Act) -> Any:
    return globals()[params.act](ctx)


@jobhub.job_type("harm.coroutine", timeout_seconds=120)
async def coroutine(ctx: jobhub.JobContext, params: Act) -> Any:
    result = globals()[params.act](ctx)
    return await result if asyncio.iscoroutine(result) else result


@jobhub.job_type("harm.poison")
async def poison(ctx: jobhub.JobContext, params: Act) -> None:
    """Bring the own process down, once the neighbours are there."""
    while not Path(params.path + ".go").exists():
        await asyncio.sleep(0.01)
    globals()[params.act](ctx)


@jobhub.job_type("harm.neighbour")
async def neighbour(ctx: jobhub.JobContext, params: Act) -> str:
    """Run beside the poison in the first attempt: nobody of the first batch ends before it."""
    with Path(params.path).open("ab", buffering=0) as file:
        file.write(f"{ctx.attempt}\n".encode())
    while not Path(params.path + ".go").exists():
        await asyncio.sleep(0.01)
    await ctx.progress(50, "half")
    await asyncio.sleep(0.2 if ctx.attempt == 1 else 0)
    return "well"


def exit_at_once(ctx: Any) -> NoReturn:
    os._exit(0)


def crash(ctx: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def kill_itself(ctx: Any) -> None:
    """As the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def sys_exit(ctx: Any) -> NoReturn:
    sys.exit(0)


def block(ctx: Any) -> str:
    time.sleep(0.3)
    return "awake"


def close_all_files(ctx: Any) -> str:
    os.closerange(0, 1024)
    return "closed"


def close_all_files_leaving_a_thread(ctx: Any) -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return close_all_files(ctx)


def write_to_all_files(ctx: Any) -> str:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"no JSON\n")
        except OSError:
            continue
    return "written"


def leave_a_thread(ctx: Any) -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "left"


def leave_a_program(ctx: Any) -> str:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return "left"


def leave_a_daemon(ctx: Any) -> str:
    """In a session of its own, with every file open that its parent has."""
    if not os.fork():
        os.setsid()
        time.sleep(60)
        os._exit(0)
    return "left"


def die_leaving_a_daemon(ctx: Any) -> NoReturn:
    leave_a_daemon(ctx)
    os._exit(5)


def fork_and_return_twice(ctx: Any) -> str:
    return "copy" if os.fork() == 0 else "original"


def leave_a_daemon_that_prints(ctx: Any) -> str:
    """For as long as somebody listens."""
    if not os.fork():
        os.setsid()
        while True:
            print("x" * 99)
    return "left"


async def fork_and_go_on(ctx: Any) -> str:
    """The copy has the event loop of the worker, and all its connections."""
    copy = os.fork()
    if not copy:
        await asyncio.sleep(600)
    for _ in range(200):
        pid, status = os.waitpid(copy, os.WNOHANG)
        if pid:
            return str(os.WEXITSTATUS(status))
        await asyncio.sleep(0.05)
    os.kill(copy, signal.SIGKILL)
    return "it went on"


async def use_multiprocessing(ctx: Any) -> int:
    """As one may."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.1,))
    child.start()
    while child.exitcode is None:
        await asyncio.sleep(0.02)
    return child.exitcode


def change_the_process(ctx: Any) -> str:
    os.chdir("/")
    os.umask(0o777)
    locale.setlocale(locale.LC_ALL, "C")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return "changed"


def return_50_megabytes(ctx: Any) -> str:
    return "x" * MEGABYTES_50


def return_no_json(ctx: Any) -> object:
    return object()


def return_nan(ctx: Any) -> float:
    return float("nan")


def return_a_bottomless_list(ctx: Any) -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


def raise_50_megabytes(ctx: Any) -> NoReturn:
    raise RuntimeError("x" * MEGABYTES_50)


def fail_with_50_megabytes(ctx: Any) -> NoReturn:
    raise jobhub.JobFailed("x" * MEGABYTES_50, code="x" * MEGABYTES_50)


def fail_with_what_can_not_be_stored(ctx: Any) -> NoReturn:
    raise jobhub.JobFailed("nul \x00 and half \ud800", code="odd")


class Unprintable:
    def __str__(self) -> NoReturn:
        raise SystemExit

    __repr__ = __str__


class UnprintableError(Exception):
    def __str__(self) -> NoReturn:
        raise SystemExit

    __repr__ = __str__


def raise_the_unprintable(ctx: Any) -> NoReturn:
    raise UnprintableError(Unprintable())


def fail_unprintably(ctx: Any) -> NoReturn:
    raise jobhub.JobFailed(Unprintable(), code="unprintable")  # type: ignore[arg-type]


def raise_what_is_no_exception(ctx: Any) -> NoReturn:
    class Beyond(BaseException):
        pass

    raise Beyond


def interrupt(ctx: Any) -> NoReturn:
    raise KeyboardInterrupt


def recurse(ctx: Any) -> Any:
    return recurse(ctx)


def print_50_megabytes(ctx: Any) -> str:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(MEGABYTES_50 // 2 // 100_000):
            stream.write("x" * 99_999 + "\n")
    print("the last words")
    return "said"


def read_standard_input(ctx: Any) -> str:
    return sys.stdin.read()


def eat_memory(ctx: Any) -> int:
    """In small pieces, so that there is none left even for an exception."""
    pieces: list[Any] = []
    while True:
        pieces.append([None] * 100)


def report_without_end(ctx: jobhub.ProcessJobContext) -> str:
    for number in range(200_000):
        ctx.progress(number / 2_000, f"Number {number}")
    ctx.progress(float("nan"))
    return "reported"


async def report_without_end_on_the_loop(ctx: jobhub.JobContext) -> str:
    for number in range(100_000):
        await ctx.progress(number / 1_000, f"Number {number}")
    return "reported"
