"""A job type whose handler fails with its parameters at hand, as handlers do."""

import msgspec

import jobhub


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    word: str


@jobhub.job_type("secretive.fail")
async def fail(ctx: jobhub.JobContext, params: Secret) -> None:
    """Fail unexpectedly."""
    kept = params.word
    raise RuntimeError(f"a word of {len(kept)} letters")
