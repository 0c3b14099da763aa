"""What handlers under measurement write down, and how it is read back."""

from pathlib import Path

from bench.backlog import _slope
from bench.starts import DIRECTORY, EACH, StartWriter, counted, each_start


def test_counts_of_two_processes_are_added_in_order_of_time(tmp_path: Path):
    (tmp_path / "1").write_text("100 1\n300 40\n")
    (tmp_path / "2").write_text("200 1\n400 20\n")

    assert counted(tmp_path) == [(100, 1), (200, 2), (300, 41), (400, 60)]


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path):
    (tmp_path / "1").write_text("100 1\n300 4")

    assert counted(tmp_path) == [(100, 1)]


def test_the_first_start_of_a_job_counts(tmp_path: Path):
    (tmp_path / "1").write_text("500 7\n600 8\n")
    (tmp_path / "2").write_text("400 7\n")

    assert each_start(tmp_path) == {7: 400, 8: 600}


def test_each_start_is_written_if_that_is_wanted(tmp_path: Path):
    writer = StartWriter({DIRECTORY: str(tmp_path), EACH: "1"})

    for number in (3, 1, 2):
        writer.record(number)

    assert each_start(tmp_path).keys() == {1, 2, 3}


def test_starts_are_counted_otherwise(tmp_path: Path):
    writer = StartWriter({DIRECTORY: str(tmp_path)})

    writer.record(17)

    assert [count for _, count in counted(tmp_path)] == [1]


def test_the_rate_of_a_window_leaves_out_what_came_before_and_after():
    second = 1_000_000_000
    settling = [(second + n * second // 100, n) for n in range(30)]
    window = [(second * 13 // 10 + n * second // 100, 30 + 10 * n) for n in range(100)]
    after = [(second * 5, 2_000)]

    assert round(_slope([*settling, *window, *after], second * 13 // 10)) == 1_000
