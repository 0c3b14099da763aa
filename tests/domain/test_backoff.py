import pytest

from jobhub.domain.backoff import MAX_DELAY_SECONDS, delay_seconds


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 16), (3, 81), (7, 2401), (8, MAX_DELAY_SECONDS), (10**9, MAX_DELAY_SECONDS)])
def test_the_delay_is_the_fourth_power_of_the_failures_up_to_an_hour(failures, seconds):
    assert delay_seconds(failures, random=0.5) == seconds


@pytest.mark.parametrize(("random", "factor"), [(0.0, 0.9), (1.0, 1.1)])
def test_the_jitter_is_ten_percent_either_way(random, factor):
    assert delay_seconds(2, random=random) == pytest.approx(16 * factor)
