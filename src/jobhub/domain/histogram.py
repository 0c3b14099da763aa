"""Lengths of time as a histogram: the length each bucket stands for, and how many it holds.

Not here: the buckets (`stat_bucket` in sql/migrations/0013_job_stats.sql).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

Histogram = Mapping[float, int]


def added_up(histograms: Sequence[Histogram]) -> Histogram:
    """All of them as one."""
    if len(histograms) == 1:
        return histograms[0]
    total: Counter[float] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def percentiles(histogram: Histogram, shares: Sequence[float]) -> list[float | None]:
    """What these shares of all lengths don't exceed; null for none of nothing.

    Between two neighbours it lies as far as the share says, as percentile_cont in SQL, so that it is as exact as the buckets are.
    """
    held = sorted((seconds, count) for seconds, count in histogram.items() if count > 0)
    if not held:
        return [None for _ in shares]
    lengths = [seconds for seconds, _ in held]
    ends = list(accumulate(count for _, count in held))

    def nth(number: int) -> float:
        return lengths[bisect_right(ends, number)]

    def percentile(share: float) -> float:
        place = share * (ends[-1] - 1)
        low, high = nth(int(place)), nth(min(int(place) + 1, ends[-1] - 1))
        return low + (place - int(place)) * (high - low)

    return [percentile(share) for share in shares]
