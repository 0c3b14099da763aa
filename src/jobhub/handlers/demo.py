"""Job types to try jobhub with. Registered with JOBHUB_DEMO=1 and under `jobhub up`."""

import asyncio
import os
from typing import Annotated, Any

import msgspec

import jobhub


class Sleep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1.0


class Steps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    seconds_per_step: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0


class Fail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] = "This job always fails."
    code: Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,50}$")] = "demo"


class Crash(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exit_status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 3


@jobhub.job_type("demo.sleep")
async def sleep(ctx: jobhub.JobContext, params: Sleep) -> dict[str, Any]:
    """Sleep for some seconds."""
    await asyncio.sleep(params.seconds)
    return {"slept_seconds": params.seconds, "attempt": ctx.attempt}


@jobhub.job_type("demo.steps")
async def steps(ctx: jobhub.JobContext, params: Steps) -> dict[str, Any]:
    """Take some steps and report each one as progress."""
    for step in range(1, params.steps + 1):
        await asyncio.sleep(params.seconds_per_step)
        await ctx.progress(100 * step / params.steps, f"Step {step} of {params.steps}")
    return {"steps": params.steps}


@jobhub.job_type("demo.fail")
async def fail(ctx: jobhub.JobContext, params: Fail) -> None:
    """Fail, with a message and a code of your choice."""
    raise jobhub.JobFailed(params.message, code=params.code)


@jobhub.job_type("demo.crash", memory_limit_mb=512)
def crash(ctx: jobhub.ProcessJobContext, params: Crash) -> None:
    """End the process of the handler without a word. The worker lives on."""
    os._exit(params.exit_status)
