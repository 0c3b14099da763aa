"""Percentiles of a histogram are those of what it holds."""

import pytest

from jobhub.domain.histogram import BUCKET_SECONDS, percentiles, sum_of

SHARES = (0, 0.5, 0.95, 0.99, 1)


def exact(lengths: list[float], share: float) -> float:
    """As percentile_cont in SQL."""
    ordered = sorted(lengths)
    place = share * (len(ordered) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (place - int(place)) * (high - low)


@pytest.mark.parametrize("buckets", [[80], [0, 1], [10, 10, 30], list(range(301)), [0] * 99 + [120], [1, 2, 5, 5, 5, 9, 300] * 9])
def test_percentiles_are_exact_where_all_lengths_are_those_of_their_buckets(buckets):
    histogram = [buckets.count(bucket) for bucket in range(max(buckets) + 1)]
    lengths = [BUCKET_SECONDS[bucket] for bucket in buckets]

    assert percentiles(histogram, SHARES) == pytest.approx([exact(lengths, share) for share in SHARES])


@pytest.mark.parametrize("histogram", [(), [0, 0], sum_of([])])
def test_there_are_none_of_nothing(histogram):
    assert percentiles(histogram, SHARES) == [None] * len(SHARES)


def test_histograms_of_any_length_are_added_up_and_taken_away():
    summed = sum_of([(1, [1, 2, 3]), (1, [10]), (-1, [0, 1]), (1, []), (1, [0] * 300 + [7]), (-1, [4, 0, 3])])

    assert list(summed) == [7, 1, *[0] * 298, 7]
