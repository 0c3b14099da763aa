"""Percentiles of a histogram are those of what it holds."""

import random

import pytest

from jobhub.domain.histogram import added_up, percentiles

SHARES = (0, 0.5, 0.95, 0.99, 1)


def exact(lengths: list[float], share: float) -> float:
    """As percentile_cont in SQL."""
    ordered = sorted(lengths)
    place = share * (len(ordered) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (place - int(place)) * (high - low)


@pytest.mark.parametrize("lengths", [[3.0], [1.0, 2.0], [1.0, 1.0, 9.0], [float(n) for n in range(100)], [0.0005] * 99 + [50.0]])
def test_they_are_exact_where_each_length_has_its_bucket(lengths):
    histogram = {length: lengths.count(length) for length in lengths}

    assert percentiles(histogram, SHARES) == pytest.approx([exact(lengths, share) for share in SHARES])


def test_the_order_of_the_buckets_and_empty_ones_do_not_matter():
    lengths = [random.Random(1).choice([1.0, 2.0, 5.0, 7.0]) for _ in range(100)]
    histogram = {length: lengths.count(length) for length in (7.0, 1.0, 3.0, 5.0, 2.0)}

    assert percentiles(histogram, SHARES) == pytest.approx([exact(lengths, share) for share in SHARES])


@pytest.mark.parametrize("histogram", [{}, {1.0: 0}])
def test_there_are_none_of_nothing(histogram):
    assert percentiles(histogram, SHARES) == [None] * len(SHARES)


def test_histograms_are_added_bucket_by_bucket():
    assert added_up([{1.0: 1, 2.0: 5}, {}, {2.0: 3, 4.0: 1}]) == {1.0: 1, 2.0: 8, 4.0: 1}
