"""Job types that real worker processes run in these tests. What they did is told in files, for the tests to read."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

import jobhub


class File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    path: str


class Seconds(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    seconds: float


class Nothing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


def append(path: str, line: str) -> None:
    """One line, whole, however many processes write."""
    with Path(path).open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


@jobhub.job_type("work.append")
async def append_id(ctx: jobhub.JobContext, params: File) -> None:
    append(params.path, str(ctx.job_id))


@jobhub.job_type("work.hold")
async def hold(ctx: jobhub.JobContext, params: File) -> dict[str, Any]:
    """Say that it runs, and run until there is a file `PATH.go`."""
    append(params.path, f"start {ctx.attempt} {os.getpid()}")
    try:
        while not Path(params.path + ".go").exists():
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        append(params.path, f"cancelled {ctx.attempt} {ctx.cancel_requested}")
        raise
    append(params.path, f"end {ctx.attempt}")
    return {"attempt": ctx.attempt, "pid": os.getpid()}


@jobhub.job_type("work.hold_in_process")
def hold_in_process(ctx: jobhub.ProcessJobContext, params: File) -> None:
    """Say who it and its own child are, and run until stopped."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    append(params.path, f"{os.getpid()} {grandchild.pid}")
    while not ctx.cancel_requested:
        time.sleep(0.02)
    append(params.path, "told to stop")
    time.sleep(600)


@jobhub.job_type("work.block")
async def block(ctx: jobhub.JobContext, params: Seconds) -> None:
    """Block the whole event loop, as no handler should."""
    time.sleep(params.seconds)


@jobhub.job_type("work.block_and_tell")
async def block_and_tell(ctx: jobhub.JobContext, params: File) -> None:
    """Block the event loop, for 2 s at least, until there is a file `PATH.go`."""
    append(params.path, "blocking")
    blocked_until = time.monotonic() + 2
    while time.monotonic() < blocked_until or not Path(params.path + ".go").exists():
        time.sleep(0.01)


@jobhub.job_type("work.brief", timeout_seconds=3)
async def brief(ctx: jobhub.JobContext, params: Nothing) -> None:
    """Take longer than it may."""
    await asyncio.sleep(600)


@jobhub.job_type("work.kill_worker")
async def kill_worker(ctx: jobhub.JobContext, params: Nothing) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@jobhub.job_type("work.exit_from_a_task")
async def exit_from_a_task(ctx: jobhub.JobContext, params: Nothing) -> None:
    """Take the event loop down with the status of a success: asyncio lets SystemExit through."""

    async def leave() -> None:
        sys.exit(0)

    task = asyncio.create_task(leave())
    await asyncio.wait({task})
