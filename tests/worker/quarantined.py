"""Coroutines that run in quarantine: a child finds them by the module they are in."""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

import jobhub


class Act(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    act: str
    path: str = ""


@jobhub.job_type("quarantined.act")
async def handler(ctx: jobhub.JobContext, params: Act) -> Any:
    return await ACTS[params.act](ctx, params)


@jobhub.job_type("quarantined.brief", timeout_seconds=0.2)
async def brief(ctx: jobhub.JobContext, params: Act) -> Any:
    return await ACTS[params.act](ctx, params)


async def identify(ctx: jobhub.JobContext, params: Act) -> Any:
    await ctx.progress(40, "almost")
    ctx.log.warning("seen", by="nobody")
    await asyncio.sleep(0)
    return [str(ctx.job_id), str(ctx.owner_id), ctx.attempt, ctx.cancel_requested, os.getpid()]


async def die(ctx: jobhub.JobContext, params: Act) -> None:
    await ctx.progress(40, "almost")
    os._exit(7)


async def fail(ctx: jobhub.JobContext, params: Act) -> None:
    raise jobhub.JobFailed("enough", code="enough")


async def cancel_itself(ctx: jobhub.JobContext, params: Act) -> None:
    raise asyncio.CancelledError


async def leave_a_task(ctx: jobhub.JobContext, params: Act) -> str:
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                continue

    ctx.task = asyncio.create_task(stay())  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    return "left"


async def hold(ctx: jobhub.JobContext, params: Act) -> None:
    """Say who runs, and that and how it was stopped."""
    tell(params.path, str(os.getpid()))
    try:
        await asyncio.sleep(600)
    finally:
        tell(params.path, f"stopped {ctx.cancel_requested}")


async def hold_on(ctx: jobhub.JobContext, params: Act) -> None:
    """Swallow what is meant to stop it."""
    try:
        await hold(ctx, params)
    except asyncio.CancelledError:
        await asyncio.sleep(600)


def tell(path: str, line: str) -> None:
    with Path(path).open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


ACTS = {act.__name__: act for act in (identify, die, fail, cancel_itself, leave_a_task, hold, hold_on)}
