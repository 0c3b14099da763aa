"""The spans of time statistics are kept for, and which of them make up a window.

Not here: what is counted in them (sql/migrations/0013_job_stats.sql).
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

import msgspec

# A Monday: spans and buckets of any length are counted from here, as `stat_span` does.
ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)


class Resolution(StrEnum):
    """How long a span is."""

    MINUTE = "minute"
    TEN_MINUTES = "ten_minutes"
    HOUR = "hour"
    SIX_HOURS = "six_hours"
    DAY = "day"
    WEEK = "week"
    ALL_TIME = "all_time"


LENGTHS = {
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.TEN_MINUTES: timedelta(minutes=10),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.SIX_HOURS: timedelta(hours=6),
    Resolution.DAY: timedelta(days=1),
    Resolution.WEEK: timedelta(weeks=1),
}
# Those that are not kept for ever.
PASSING = (Resolution.MINUTE, Resolution.TEN_MINUTES, Resolution.HOUR, Resolution.SIX_HOURS)


class Spans(msgspec.Struct, frozen=True, kw_only=True):
    """All spans of one resolution that begin from `begins_at` until before `ends_at`; null: without a bound."""

    resolution: Resolution
    begins_at: datetime | None = None
    ends_at: datetime | None = None


def begin_of(at: datetime, length: timedelta) -> datetime:
    """When the bucket of that length begins in which `at` lies."""
    return at - (at - ORIGIN) % length


def spans_since(begins_at: datetime | None) -> list[Spans]:
    """Few spans that hold everything since the begin of a minute, without a gap and nothing twice; since ever, if it is null.

    Each of them as long as fits from where the last one ended; those that are not over yet are spans too.
    """
    if begins_at is None:
        return [Spans(resolution=Resolution.ALL_TIME)]
    spans = []
    for resolution, longer in pairwise(LENGTHS):
        ends_at = _end_of(begins_at, LENGTHS[longer])
        if begins_at != ends_at:
            spans.append(Spans(resolution=resolution, begins_at=begins_at, ends_at=ends_at))
        begins_at = ends_at
    return [*spans, Spans(resolution=Resolution.WEEK, begins_at=begins_at)]


def _end_of(at: datetime, length: timedelta) -> datetime:
    """The first begin of a bucket that is not before `at`."""
    return at + (ORIGIN - at) % length
