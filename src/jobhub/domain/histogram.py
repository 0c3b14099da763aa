"""Lengths of time as a histogram, and what can be said of them.

Not here: which bucket a length of time lies in (`stat_bucket` in sql/migrations/0013_job_stats.sql).
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest

# How many lengths lie in bucket 0, 1, 2 and so on, as far as any do.
Histogram = Sequence[int]

# The length of time each bucket stands for, within 5 % of all that lie in it, as `stat_bucket_seconds` says.
BUCKET_SECONDS = (0.0005, *(0.001 * math.pow(1.1, bucket - 0.5) for bucket in range(1, 301)))


def sum_of(histograms: Iterable[tuple[int, Histogram]]) -> Histogram:
    """All of them added up; those with the sign -1 are taken away again."""
    signed = (counts if sign == 1 else [-count for count in counts] for sign, counts in histograms)
    return [*map(sum, zip_longest(*signed, fillvalue=0))]


def percentiles(histogram: Histogram, shares: Sequence[float]) -> list[float | None]:
    """What these shares of all lengths don't exceed, in seconds; null for none of nothing.

    Between two neighbours it lies as far as the share says, as percentile_cont in SQL, so that it is as exact as the buckets are.
    """
    ends = list(accumulate(histogram))
    if not ends or not ends[-1]:
        return [None for _ in shares]
    last = ends[-1] - 1

    def nth(number: int) -> float:
        return BUCKET_SECONDS[bisect_right(ends, number)]

    def percentile(share: float) -> float:
        place = share * last
        low, high = nth(int(place)), nth(min(int(place) + 1, last))
        return low + (place - int(place)) * (high - low)

    return [percentile(share) for share in shares]
