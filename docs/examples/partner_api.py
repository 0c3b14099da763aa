"""Calling a slow partner: retries with backoff for what may pass, an end for what won't, and no more calls a second than agreed.

The partner gets a key made of the job's id, which is the same in every attempt: what was done already is not done twice. Needs httpx.
"""

import asyncio
import os
import time
from typing import Annotated, Any

import msgspec

import jobhub

PARTNER_URL = os.environ.get("PARTNER_URL", "https://partner.example.org")
CALLS_PER_SECOND = float(os.environ.get("PARTNER_CALLS_PER_SECOND", "5"))


class Pace:
    """So many calls a second for all jobs of this worker. With several workers, divide."""

    def __init__(self, per_second: float) -> None:
        self._pause = 1 / per_second
        self._next_at = 0.0

    async def wait_for_turn(self) -> None:
        """Sleep until it is this one's turn; turns are given in the order they are asked for."""
        now = time.monotonic()
        turn = max(now, self._next_at)
        self._next_at = turn + self._pause
        await asyncio.sleep(turn - now)


pace = Pace(CALLS_PER_SECOND)


class Shipment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]-\d{1,10}$")]
    weight_grams: Annotated[int, msgspec.Meta(ge=1, le=30_000)]


@jobhub.job_type("example.ship", timeout_seconds=120, retry=jobhub.Retry(max_attempts=8))
async def ship(ctx: jobhub.JobContext, params: Shipment) -> dict[str, Any]:
    """Order a shipment from the carrier."""
    import httpx

    await ctx.progress(10, "Waiting for a turn")
    await pace.wait_for_turn()
    await ctx.progress(20, "Asking the carrier")
    try:
        async with httpx.AsyncClient(base_url=PARTNER_URL, timeout=30) as partner:
            answer = await partner.post(
                "/shipments",
                json={"order": params.order, "weight_grams": params.weight_grams},
                headers={"Idempotency-Key": f"job-{ctx.job_id}"},
            )
    except httpx.TransportError as error:
        raise jobhub.JobFailed("The carrier can't be reached at the moment.", code="carrier_away") from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise jobhub.JobFailed(f"The carrier is busy (status {answer.status_code}).", code="carrier_busy")
    if answer.status_code >= 400:
        raise jobhub.JobFailed(f"The carrier refuses this shipment: {answer.text[:200]}", code="refused", retryable=False)
    return {"tracking": answer.json()["tracking"], "attempt": ctx.attempt}
