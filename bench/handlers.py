"""The job type the measurements run."""

import functools
import os

import msgspec

import jobhub
from bench.starts import StartWriter


class Numbered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Small, as most parameters are."""

    n: int = 0


@functools.cache
def _writer() -> StartWriter:
    return StartWriter(dict(os.environ))


@jobhub.job_type("bench.nothing")
async def nothing(ctx: jobhub.JobContext, params: Numbered) -> dict[str, bool]:
    """Do nothing, and say so."""
    _writer().record(params.n)
    return {"ok": True}
