"""Medians with their spread, and Markdown tables of them."""

import statistics
from collections.abc import Sequence

import msgspec

from bench.goals import Goal


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the report."""

    title: str
    command: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal] = ()

    def markdown(self) -> str:
        lines = [" | ".join(row) for row in (self.header, ["---"] * len(self.header), *self.rows)]
        table = "\n".join(f"| {line} |" for line in lines)
        return f"### {self.title}\n\n    {self.command}\n\n{self.note}\n\n{table}\n"


def median(values: Sequence[float], digits: int = 0) -> str:
    """The median and, in brackets, the lowest and the highest of all runs; a dash for none, no brackets for one."""
    if not values:
        return "–"
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}..{high})" if len(values) > 1 else middle


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How many times theirs ours is, by the medians."""
    if not ours or not theirs:
        return "–"
    quotient = statistics.median(ours) / statistics.median(theirs)
    return f"{quotient:.2f}" if quotient < 10 else f"{quotient:.0f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * share // 1) - 1))]
