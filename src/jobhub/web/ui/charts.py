"""Figures as charts: where each bar stands, for a template to draw as SVG. The numbers themselves stand in a table beside it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from jobhub.contract.figures import Bucket, Window

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 200, 44, 24, 8
_LABELS = 6  # along the time axis; more would touch each other on a phone


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One rectangle; `name` says what it shows, and in which colour."""

    name: str
    x: float
    y: float
    width: float
    height: float
    title: str


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A word at a place of an axis."""

    x: float
    y: float
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What a template draws, in a box of `width` × `height`."""

    width: int
    height: int
    bars: list[Bar]
    lines: list[Mark]  # of the grid, each with what it stands for
    labels: list[Mark]


def throughput_chart(buckets: Sequence[Bucket], window: Window) -> Chart:
    """Finished jobs by time, stacked by how they ended."""
    top = _nice(max((one.completed + one.failed + one.cancelled for one in buckets), default=0))
    step = (WIDTH - LEFT) / max(1, len(buckets))
    bars: list[Bar] = []
    for index, bucket in enumerate(buckets):
        base = float(HEIGHT - BOTTOM)
        for name, count in (("completed", bucket.completed), ("failed", bucket.failed), ("cancelled", bucket.cancelled)):
            if count:
                height = max(1.0, _scaled(count, top))
                base -= height
                title = f"{_clock(bucket.at, window)}: {count} {name}"
                bars.append(
                    Bar(name=name, x=_r(LEFT + index * step), y=_r(base), width=_r(max(1.0, step - 1.5)), height=_r(height), title=title)
                )
    return Chart(width=WIDTH, height=HEIGHT, bars=bars, lines=_lines(top), labels=_time_labels(buckets, window, step))


def _time_labels(buckets: Sequence[Bucket], window: Window, step: float) -> list[Mark]:
    every = max(1, -(-len(buckets) // _LABELS))
    return [
        Mark(x=_r(LEFT + (index + 0.5) * step), y=HEIGHT - 6, text=_clock(bucket.at, window))
        for index, bucket in enumerate(buckets)
        if index % every == every // 2
    ]


def _lines(top: float) -> list[Mark]:
    return [
        Mark(x=LEFT, y=_r(HEIGHT - BOTTOM - _scaled(value, top)), text=f"{value:,.0f}".replace(",", " ")) for value in (0, top / 2, top)
    ]


def _clock(at: datetime, window: Window) -> str:
    return at.strftime("%H:%M" if window in (Window.HOUR, Window.DAY) else "%d %b")


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One job type's times as bars of 1,000 units, and as seconds."""

    job_type: str
    p50: float | None
    p95: float | None
    p50_width: float
    p95_width: float


def latencies(times: Sequence[tuple[str, float | None, float | None]]) -> list[Latency]:
    """Job types by p95, the slowest first; those without a figure are left out."""
    known = sorted((one for one in times if one[2] is not None), key=lambda one: -(one[2] or 0.0))[:12]
    longest = max((one[2] or 0.0 for one in known), default=0.0) or 1.0
    return [
        Latency(
            job_type=name,
            p50=p50,
            p95=p95,
            p50_width=_r(max(3.0, 1000 * (p50 or 0.0) / longest)),
            p95_width=_r(max(3.0, 1000 * (p95 or 0.0) / longest)),
        )
        for name, p50, p95 in known
    ]


def _nice(value: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 …: half of it is a whole number."""
    size = 1
    while True:
        for step in (2, 4, 10):
            if value <= step * size:
                return step * size
        size *= 10


def _scaled(value: float, top: float) -> float:
    return (HEIGHT - BOTTOM - TOP) * value / top


def _r(value: float) -> float:
    return round(value, 1)
