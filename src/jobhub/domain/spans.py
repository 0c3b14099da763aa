"""The spans of time statistics are kept for, and which of them make up a window.

Not here: what is counted in them (sql/migrations/0013_job_stats.sql).
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Buckets of any length are counted from here, as date_bin does in the statements.
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


class Resolution(StrEnum):
    """How long a span is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    ALL_TIME = "all_time"


class Spans(msgspec.Struct, frozen=True, kw_only=True):
    """All spans of one resolution that begin from `begins_at` until before `ends_at`; null: without a bound."""

    resolution: Resolution
    begins_at: datetime | None = None
    ends_at: datetime | None = None


def begin_of(at: datetime, length: timedelta) -> datetime:
    """When the bucket of that length begins in which `at` lies."""
    return at - (at - ORIGIN) % length


def spans_since(begins_at: datetime | None) -> list[Spans]:
    """The fewest spans that hold everything since the begin of a minute, without a gap and nothing twice; since ever, if it is null.

    Minutes to the full hour, hours to midnight, then days: the running hour and day are spans too.
    """
    if begins_at is None:
        return [Spans(resolution=Resolution.ALL_TIME)]
    hour = _end_of(begins_at, HOUR)
    day = _end_of(hour, DAY)
    spans = [
        Spans(resolution=Resolution.MINUTE, begins_at=begins_at, ends_at=hour),
        Spans(resolution=Resolution.HOUR, begins_at=hour, ends_at=day),
        Spans(resolution=Resolution.DAY, begins_at=day),
    ]
    return [span for span in spans if span.begins_at != span.ends_at]


def _end_of(at: datetime, length: timedelta) -> datetime:
    """The first begin of a bucket that is not before `at`."""
    return at + (ORIGIN - at) % length
