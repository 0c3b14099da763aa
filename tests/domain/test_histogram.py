"""Percentiles of a histogram are those of what it holds."""

import random

import pytest

from jobhub.domain.histogram import Histogram, percentiles

SHARES = (0, 0.5, 0.95, 0.99, 1)


def exact(lengths: list[float], share: float) -> float:
    """As percentile_cont in SQL."""
    ordered = sorted(lengths)
    place = share * (len(ordered) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (place - int(place)) * (high - low)


@pytest.mark.parametrize("lengths", [[3.0], [1.0, 2.0], [1.0, 1.0, 9.0], [float(n) for n in range(100)], [0.0005] * 99 + [50.0]])
def test_they_are_exact_where_each_length_has_its_bucket(lengths):
    seconds = sorted(set(lengths))
    histogram = Histogram(seconds, [lengths.count(length) for length in seconds])

    assert percentiles(histogram, SHARES) == pytest.approx([exact(lengths, share) for share in SHARES])


def test_empty_buckets_do_not_matter():
    lengths = [random.Random(1).choice([1.0, 2.0, 5.0, 7.0]) for _ in range(100)]
    seconds = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0]
    histogram = Histogram(seconds, [lengths.count(length) for length in seconds])

    assert percentiles(histogram, SHARES) == pytest.approx([exact(lengths, share) for share in SHARES])


@pytest.mark.parametrize("histogram", [Histogram(), Histogram([1.0, 2.0], [0, 0])])
def test_there_are_none_of_nothing(histogram):
    assert percentiles(histogram, SHARES) == [None] * len(SHARES)
