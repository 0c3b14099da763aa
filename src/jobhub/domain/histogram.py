"""Lengths of time as a histogram, and what can be said of them.

Not here: the buckets (`stat_bucket` in sql/migrations/0013_job_stats.sql).
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec


class Histogram(msgspec.Struct, frozen=True):
    """The length of time each bucket stands for, in seconds and rising, and how many it holds."""

    seconds: Sequence[float] = ()
    counts: Sequence[int] = ()


def percentiles(histogram: Histogram, shares: Sequence[float]) -> list[float | None]:
    """What these shares of all lengths don't exceed; null for none of nothing.

    Between two neighbours it lies as far as the share says, as percentile_cont in SQL, so that it is as exact as the buckets are.
    """
    ends = list(accumulate(histogram.counts))
    if not ends or not ends[-1]:
        return [None for _ in shares]
    last = ends[-1] - 1

    def nth(number: int) -> float:
        return histogram.seconds[bisect_right(ends, number)]

    def percentile(share: float) -> float:
        place = share * last
        low, high = nth(int(place)), nth(min(int(place) + 1, last))
        return low + (place - int(place)) * (high - low)

    return [percentile(share) for share in shares]
