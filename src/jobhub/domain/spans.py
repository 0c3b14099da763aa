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
    """All spans of one resolution that begin from `begins_at` until before `ends_at`; null: without a bound.

    What they hold is to be added, or, where the sign is -1, to be taken away again from what longer ones hold.
    """

    resolution: Resolution
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    sign: int = 1


def begin_of(at: datetime, length: timedelta) -> datetime:
    """When the bucket of that length begins in which `at` lies."""
    return at - (at - ORIGIN) % length


def spans_since(begins_at: datetime | None, *, now: datetime | None = None) -> list[Spans]:
    """Few spans that hold everything since the begin of a minute, nothing twice and nothing else; since ever, if it is null.

    Each of them as long as fits; those that are not over yet are spans too. A longer one that begins before is taken, less the shorter ones
    until `begins_at`, where those are fewer than the ones from there until `now`; never without `now`: they may not be kept any more.
    """
    if begins_at is None:
        return [Spans(resolution=Resolution.ALL_TIME)]
    spans = []
    for resolution, longer in pairwise(LENGTHS):
        before, after = begin_of(begins_at, LENGTHS[longer]), _end_of(begins_at, LENGTHS[longer])
        if before == after:
            continue
        if now and begins_at - before + LENGTHS[resolution] < min(after, now) - begins_at:
            spans.append(Spans(resolution=resolution, begins_at=before, ends_at=begins_at, sign=-1))
            begins_at = before
        else:
            spans.append(Spans(resolution=resolution, begins_at=begins_at, ends_at=after))
            begins_at = after
    return [*spans, Spans(resolution=Resolution.WEEK, begins_at=begins_at)]


def _end_of(at: datetime, length: timedelta) -> datetime:
    """The first begin of a bucket that is not before `at`."""
    return at + (ORIGIN - at) % length
