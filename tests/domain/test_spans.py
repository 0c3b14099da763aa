"""Windows are made up of spans without a gap, and nothing in them is counted twice."""

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


@pytest.mark.parametrize("begin", ["2024-02-28 22:58", "2024-12-31 23:01", "1999-12-31 23:59"])
def test_each_minute_from_its_begin_on_is_in_just_one_span(begin):
    spans = spans_since(at(begin))
    covered = []
    for span in spans:
        moment, end = span.begins_at, span.ends_at or at(begin) + timedelta(days=14)
        while moment < end:
            covered += [moment + n * LENGTHS[MINUTE] for n in range(LENGTHS[span.resolution] // LENGTHS[MINUTE])]
            moment += LENGTHS[span.resolution]

    assert covered == [at(begin) + n * LENGTHS[MINUTE] for n in range(len(covered))]
    assert len(covered) > 7 * 24 * 60


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
