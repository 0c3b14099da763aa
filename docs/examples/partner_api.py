"""Call a partner's slow API: retried when it fails, never faster than agreed, and safe to repeat.

The rate is that of all workers together: each call takes the next free moment from a row of a table. Needs PARTNER_URL and
PARTNER_DATABASE_URL, with this table:

    CREATE TABLE partner_rate (one boolean PRIMARY KEY DEFAULT true CHECK (one), next_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO partner_rate DEFAULT VALUES;
"""

import asyncio
import os
from typing import Annotated, Any

import asyncpg
import httpx
import msgspec

import jobhub

CALLS_PER_SECOND = 5.0
MAX_WAIT_SECONDS = 60.0


class Register(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]-\d+$", description="Like A-7")]


@jobhub.job_type("partner.register", timeout_seconds=120, retry=jobhub.Retry(max_attempts=5))
async def register(ctx: jobhub.JobContext, params: Register) -> dict[str, Any]:
    """Register an order with the partner."""
    await ctx.progress(10, "Waiting for our turn")
    await asyncio.sleep(await _seconds_until_our_turn())
    await ctx.progress(30, "Asking the partner")
    try:
        async with httpx.AsyncClient(base_url=os.environ["PARTNER_URL"], timeout=30) as partner:
            # The partner knows a repeated call by its key, and an attempt may be lost after it has called.
            answer = await partner.put(f"/orders/{params.order}", headers={"Idempotency-Key": f"job-{ctx.job_id}"})
    except httpx.TransportError as error:
        raise jobhub.JobFailed("The partner can't be reached.", code="partner_unreachable") from error
    if answer.status_code == 429 or answer.status_code >= 500:
        # Tried again later, after one, 16, 81 and 256 seconds.
        raise jobhub.JobFailed(f"The partner answered {answer.status_code}.", code="partner_busy")
    if answer.is_error:
        raise jobhub.JobFailed(f"The partner refuses the order: {answer.status_code}.", code="partner_refused", retryable=False)
    return {"registration": answer.json()["registration"], "attempt": ctx.attempt}


async def _seconds_until_our_turn() -> float:
    """Take the next free moment, of those that are 1 / CALLS_PER_SECOND apart; how far away it is."""
    connection = await asyncpg.connect(os.environ["PARTNER_DATABASE_URL"])
    try:
        seconds = await connection.fetchval(
            "UPDATE partner_rate SET next_at = greatest(now(), next_at) + make_interval(secs => $1)"
            " WHERE next_at < now() + make_interval(secs => $2)"
            " RETURNING extract(EPOCH FROM next_at - now())::float8 - $1",
            1 / CALLS_PER_SECOND,
            MAX_WAIT_SECONDS,
        )
    finally:
        await connection.close()
    if seconds is None:
        raise jobhub.JobFailed("Too many calls are waiting for the partner.", code="partner_queue_full")
    return max(0.0, seconds)
