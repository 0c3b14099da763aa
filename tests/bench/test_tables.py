"""Medians, percentiles, Markdown."""

import pytest

from bench.goals import at_least, at_most
from bench.tables import Table, median, percentile, ratio


def test_a_median_shows_its_spread():
    assert median([3_000.4, 1_000, 2_000]) == "2,000 (1,000..3,000)"


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_the_smallest_value_that_covers_its_share(share: float, value: int):
    assert percentile(range(1, 101), share) == value


def test_a_ratio_is_of_the_medians_and_a_dash_without_figures():
    assert ratio([10, 30, 20], [8, 8, 80]) == "2.50"
    assert ratio([1], []) == "–"


def test_a_table_is_markdown():
    table = Table(title="T", command="c", note="n", header=["", "x"], rows=[["a", "1"]])

    assert table.markdown() == "### T\n\n    c\n\nn\n\n|  | x |\n| --- | --- |\n| a | 1 |\n"


def test_a_goal_is_met_by_the_median_and_left_out_if_unmeasured():
    assert [goal.is_met for goal in at_least("w", 1.5, "x", [30, 14, 15], [10])] == [True]
    assert [goal.is_met for goal in at_least("w", 1.6, "x", [30, 14, 15], [10])] == [False]
    assert [goal.is_met for goal in at_most("w", 4, "ms", [3, 4, 9])] == [True]
    assert at_least("w", 1, "x", [], [1]) == at_most("w", 1, "ms", []) == []
