"""Windows are made up of spans without a gap, and nothing in them is counted twice."""

from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.spans import Resolution, begin_of, spans_since

LENGTHS = {Resolution.MINUTE: timedelta(minutes=1), Resolution.HOUR: timedelta(hours=1), Resolution.DAY: timedelta(days=1)}
MINUTE, HOUR, DAY, ALL_TIME = Resolution


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# (begin of the window, the spans: resolution, first begin, end)
WINDOWS = [
    ("2026-11-28 13:20", [(MINUTE, "13:20", "14:00"), (HOUR, "14:00", "24:00"), (DAY, "24:00", None)]),
    ("2026-11-28 13:00", [(HOUR, "13:00", "24:00"), (DAY, "24:00", None)]),
    ("2026-11-28 23:59", [(MINUTE, "23:59", "24:00"), (DAY, "24:00", None)]),
    ("2026-11-28 00:01", [(MINUTE, "00:01", "01:00"), (HOUR, "01:00", "24:00"), (DAY, "24:00", None)]),
    ("2026-11-28 00:00", [(DAY, "00:00", None)]),
]


@pytest.mark.parametrize(("begin", "expected"), WINDOWS)
def test_a_window_is_minutes_to_the_hour_hours_to_midnight_then_days(begin, expected):
    def clock(time: str | None) -> datetime | None:
        return at("2026-11-29") if time == "24:00" else at(f"2026-11-28 {time}") if time else None

    spans = [(span.resolution, span.begins_at, span.ends_at) for span in spans_since(at(begin))]

    assert spans == [(resolution, clock(first), clock(end)) for resolution, first, end in expected]


def test_all_of_time_is_one_span():
    [span] = spans_since(None)

    assert (span.resolution, span.begins_at, span.ends_at) == (ALL_TIME, None, None)


@pytest.mark.parametrize("begin", ["2024-02-28 22:58", "2024-12-31 23:01", "1999-12-31 23:59"])
def test_each_minute_from_its_begin_on_is_in_just_one_span(begin):
    spans = spans_since(at(begin))
    covered = []
    for span in spans:
        moment, end = span.begins_at, span.ends_at or at(begin) + timedelta(days=4)
        while moment < end:
            covered += [moment + n * LENGTHS[MINUTE] for n in range(LENGTHS[span.resolution] // LENGTHS[MINUTE])]
            moment += LENGTHS[span.resolution]

    assert covered == [at(begin) + n * LENGTHS[MINUTE] for n in range(len(covered))]
    assert len(covered) > 3 * 24 * 60


@pytest.mark.parametrize(
    ("moment", "length", "begin"),
    [
        ("2026-11-28 13:20:59.999999", timedelta(minutes=1), "2026-11-28 13:20"),
        ("2026-11-28 13:20", timedelta(minutes=1), "2026-11-28 13:20"),
        ("2026-11-28 13:20", timedelta(hours=6), "2026-11-28 12:00"),
        ("2026-11-28 13:20", timedelta(days=1), "2026-11-28 00:00"),
        ("1999-12-31 13:20", timedelta(days=1), "1999-12-31 00:00"),
    ],
)
def test_the_begin_of_a_bucket(moment, length, begin):
    assert begin_of(at(moment), length) == at(begin)
