"""Windows are made up of spans without a gap, and nothing in them is counted twice."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.spans import LENGTHS, Resolution, begin_of, spans_since

MINUTE, TEN_MINUTES, HOUR, SIX_HOURS, DAY, WEEK, ALL_TIME = Resolution


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# (begin of the window, the spans: resolution, and where they begin); the 28th is a Saturday.
WINDOWS = [
    (
        "2026-11-28 13:24",
        [
            (MINUTE, "2026-11-28 13:24"),
            (TEN_MINUTES, "2026-11-28 13:30"),
            (HOUR, "2026-11-28 14:00"),
            (SIX_HOURS, "2026-11-28 18:00"),
            (DAY, "2026-11-29"),
            (WEEK, "2026-11-30"),
        ],
    ),
    ("2026-11-28 13:00", [(HOUR, "2026-11-28 13:00"), (SIX_HOURS, "2026-11-28 18:00"), (DAY, "2026-11-29"), (WEEK, "2026-11-30")]),
    ("2026-11-29 23:59", [(MINUTE, "2026-11-29 23:59"), (WEEK, "2026-11-30")]),
    ("2026-11-28 06:00", [(SIX_HOURS, "2026-11-28 06:00"), (DAY, "2026-11-29"), (WEEK, "2026-11-30")]),
    ("2026-11-28", [(DAY, "2026-11-28"), (WEEK, "2026-11-30")]),
    ("2026-11-30", [(WEEK, "2026-11-30")]),
]


@pytest.mark.parametrize(("begin", "expected"), WINDOWS)
def test_a_window_is_made_of_spans_as_long_as_fit(begin, expected):
    spans = spans_since(at(begin))

    assert [(span.resolution, span.begins_at) for span in spans] == [(resolution, at(first)) for resolution, first in expected]
    assert [span.ends_at for span in spans] == [*(at(first) for _, first in expected[1:]), None]


def test_all_of_time_is_one_span():
    [span] = spans_since(None)

    assert (span.resolution, span.begins_at, span.ends_at) == (ALL_TIME, None, None)


def minutes_of(spans, until):
    """How often each minute before `until` is counted."""
    counted = Counter()
    for span in spans:
        moment, end = span.begins_at, min(span.ends_at or until, until)
        while moment < end:
            for n in range(LENGTHS[span.resolution] // LENGTHS[MINUTE]):
                counted[moment + n * LENGTHS[MINUTE]] += span.sign
            moment += LENGTHS[span.resolution]
    return {moment: times for moment, times in counted.items() if times and moment < until}


BEGINS = ["2024-02-28 22:58", "2024-12-31 23:01", "1999-12-31 23:59", "2026-11-29 08:11", "2026-11-29 08:56", "2026-11-26 18:00"]


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("back", [None, timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30)])
def test_each_minute_from_its_begin_on_is_counted_just_once(begin, back):
    now = at(begin) + (back or timedelta(days=14))
    spans = spans_since(at(begin), now=now if back else None)

    assert minutes_of(spans, now) == {at(begin) + n * LENGTHS[MINUTE]: 1 for n in range((now - at(begin)) // LENGTHS[MINUTE])}


def test_short_spans_are_taken_away_again_where_they_are_fewer():
    spans = spans_since(at("2026-11-28 08:11"), now=at("2026-11-28 09:11"))

    assert [(span.resolution, span.begins_at, span.ends_at, span.sign) for span in spans] == [
        (MINUTE, at("2026-11-28 08:10"), at("2026-11-28 08:11"), -1),
        (TEN_MINUTES, at("2026-11-28 08:00"), at("2026-11-28 08:10"), -1),
        (HOUR, at("2026-11-28 08:00"), at("2026-11-28 12:00"), 1),
        (SIX_HOURS, at("2026-11-28 12:00"), at("2026-11-29"), 1),
        (DAY, at("2026-11-29"), at("2026-11-30"), 1),
        (WEEK, at("2026-11-30"), None, 1),
    ]


def test_no_window_of_an_hour_reads_more_than_nine_spans():
    for minute in range(7 * 24 * 60):
        begin = at("2026-11-23") + minute * LENGTHS[MINUTE]
        now = begin + timedelta(minutes=60, seconds=59)
        begun = [span for span in spans_since(begin, now=now) if span.begins_at < now]

        assert sum(math.ceil((min(span.ends_at or now, now) - span.begins_at) / LENGTHS[span.resolution]) for span in begun) <= 9


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
