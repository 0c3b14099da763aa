"""Job types for the torment: each tells the ledger what it does, and its effect is the last thing before it returns."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import jobhub
from tests.faults.ledger import VARIABLE, Phase, gate, note


class Work(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    seconds: float = 0.0


@contextmanager
def told(ctx: Any) -> Iterator[None]:
    """The ledger's lines around what a handler does."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    try:
        yield
    except asyncio.CancelledError:
        note(ctx.job_id, ctx.attempt, Phase.STOPPED)
        raise
    note(ctx.job_id, ctx.attempt, Phase.EFFECT)


@jobhub.job_type("faults.quick", timeout_seconds=300)
async def quick(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """Wait, then take effect."""
    with told(ctx):
        await asyncio.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.held", timeout_seconds=300)
async def held(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """The same, once the test lets it: however slow the machine is, it is running until then."""
    with told(ctx):
        while not gate(Path(os.environ[VARIABLE])).exists():
            await asyncio.sleep(0.05)
        await asyncio.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.steady", timeout_seconds=300)
async def steady(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """The same with progress."""
    with told(ctx):
        for step in range(1, 21):
            await asyncio.sleep(params.seconds / 20)
            await ctx.progress(5 * step, f"step {step}")
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.process", timeout_seconds=300)
def process(ctx: jobhub.ProcessJobContext, params: Work) -> dict[str, Any]:
    """The same in a process of its own."""
    with told(ctx):
        time.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.flaky", retry=jobhub.Retry(max_attempts=3))
async def flaky(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """Fail the first attempt, whatever becomes of it."""
    if ctx.attempt == 1:
        raise jobhub.JobFailed("not yet")
    with told(ctx):
        await asyncio.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.broken")
async def broken(ctx: jobhub.JobContext, params: Work) -> None:
    """Fail."""
    raise jobhub.JobFailed("never")


@jobhub.job_type("faults.stubborn", timeout_seconds=300)
async def stubborn(ctx: jobhub.JobContext, params: Work) -> None:
    """Swallow every cancellation until the time is over."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    until = time.monotonic() + params.seconds
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            note(ctx.job_id, ctx.attempt, Phase.STOPPED)


@jobhub.job_type("faults.forking", timeout_seconds=300)
def forking(ctx: jobhub.ProcessJobContext, params: Work) -> None:
    """Start a child that ignores what it can, and ignore the stop too."""
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)  # faults.forking"
    subprocess.Popen([sys.executable, "-c", ignore])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(ctx.job_id, ctx.attempt, Phase.START)
    time.sleep(params.seconds)


@jobhub.job_type("faults.blocking", timeout_seconds=300)
async def blocking(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """Block the worker's whole event loop."""
    with told(ctx):
        time.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@jobhub.job_type("faults.poison")
async def poison(ctx: jobhub.JobContext, params: Work) -> None:
    """Kill the worker."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    os.kill(os.getpid(), signal.SIGKILL)


@jobhub.job_type("faults.poison_process")
def poison_process(ctx: jobhub.ProcessJobContext, params: Work) -> None:
    """Kill the handler's own process."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    os.kill(os.getpid(), signal.SIGKILL)


@jobhub.job_type("faults.greedy", timeout_seconds=300)
async def greedy(ctx: jobhub.JobContext, params: Work) -> None:
    """Take all the memory there is, until the kernel or the limit ends the worker."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    hoard = []
    try:
        while True:
            hoard.append(bytearray(16 * 1024 * 1024))
    except MemoryError:
        os.abort()


@jobhub.job_type("faults.greedy_process", memory_limit_mb=400)
def greedy_process(ctx: jobhub.ProcessJobContext, params: Work) -> None:
    """Take more memory than a handler's process may."""
    note(ctx.job_id, ctx.attempt, Phase.START)
    hoard = []
    while True:
        hoard.append(bytearray(16 * 1024 * 1024))


@jobhub.job_type("faults.chatty", timeout_seconds=300)
async def chatty(ctx: jobhub.JobContext, params: Work) -> dict[str, Any]:
    """Report progress as fast as it goes, backwards too."""
    with told(ctx):
        until = time.monotonic() + params.seconds
        reports = 0
        while time.monotonic() < until:
            for percentage in (*range(0, 100, 7), 50, 3):
                await ctx.progress(percentage, f"report {reports}")
                reports += 1
            await asyncio.sleep(0)
    return {"attempt": ctx.attempt, "reports": reports}
