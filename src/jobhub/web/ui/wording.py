"""How times, durations, numbers and JSON are written for people."""

from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_SHOWN_JSON = 64 * 1024  # characters; what is longer is for downloading


def duration(seconds: float | None) -> str:
    """Two units at most: `0.4 s`, `12 s`, `2 min 5 s`, `3 h 4 min`, `2 d 3 h`; a dash for none."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 0.0095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.95 or seconds < 0.0095 else f"{seconds:.2f} s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(at: datetime, now: datetime) -> str:
    """One unit: `5 min ago`, `in 3 h`, `just now`."""
    seconds = (now - at).total_seconds()
    away = abs(seconds)
    if away < 5:
        return "just now"
    size, unit = next((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")) if away >= size)
    text = f"{int(away // size)} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def absolute(at: datetime) -> str:
    """The time itself, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: datetime, since: datetime) -> str:
    """The time of day; with its date if that is another than that of `since`."""
    at, since = at.astimezone(UTC), since.astimezone(UTC)
    return at.strftime("%H:%M:%S UTC") if at.date() == since.date() else absolute(at)


def iso(at: datetime) -> str:
    """For programs, in a `<time>`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number(value: float | None) -> str:
    """With thin spaces between the thousands; a dash for none."""
    return "–" if value is None else f"{value:,.0f}".replace(",", " ")


def counted(value: int, what: str) -> str:
    """`1 job`, `2 jobs`: of words that take an s."""
    return f"{number(value)} {what}{'' if value == 1 else 's'}"


def percent(share: float | None) -> str:
    """A share; 100 % only if it is all of it, 0 % only if it is nothing."""
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def pretty(value: Any) -> str:
    """JSON, indented, every number as it is."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def shown(value: Any) -> str:
    """`pretty`, cut where a page would become too long."""
    text = pretty(value)
    return text if len(text) <= MAX_SHOWN_JSON else f"{text[:MAX_SHOWN_JSON]}\n…"


def one_line(value: Any) -> str:
    """JSON in one line, without quotes around a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def pairs(value: dict[str, Any]) -> str:
    """An object of few values in one line: `from: pending, by: administrator`."""
    return ", ".join(f"{name.replace('_', ' ')}: {one_line(one)}" for name, one in value.items())


WINDOWS = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "all": "all time"}


def window(value: str) -> str:
    """A window of time as people call it."""
    return WINDOWS.get(value, value)


FILTERS: dict[str, Any] = {
    "duration": duration,
    "ago": ago,
    "absolute": absolute,
    "clock": clock,
    "iso": iso,
    "number": number,
    "counted": counted,
    "percent": percent,
    "pretty": pretty,
    "shown": shown,
    "one_line": one_line,
    "pairs": pairs,
    "window": window,
}
