"""The job type the measurements run."""

import msgspec

import jobhub


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


@jobhub.job_type("bench.nothing")
async def nothing(ctx: jobhub.JobContext, params: Nothing) -> dict[str, bool]:
    """Do nothing, and say so."""
    return {"ok": True}
