"""What the figures are compared with. Not here: why these goals (docs/performance.md)."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One goal and what was reached."""

    workload: str
    wanted: str
    reached: str
    is_met: bool


def at_least(workload: str, factor: float, of: str, ours: Sequence[float], theirs: Sequence[float]) -> list[Goal]:
    """Our median is at least so many times theirs; nothing if one of the two was not measured."""
    if not ours or not theirs:
        return []
    quotient = statistics.median(ours) / statistics.median(theirs)
    return [Goal(workload=workload, wanted=f"≥ {factor:g} × {of}", reached=f"{quotient:.2f} ×", is_met=quotient >= factor)]


def at_most(workload: str, limit: float, unit: str, values: Sequence[float]) -> list[Goal]:
    """The median is at most that; nothing if it was not measured."""
    if not values:
        return []
    reached = statistics.median(values)
    return [Goal(workload=workload, wanted=f"≤ {limit:g} {unit}", reached=f"{reached:,.2f} {unit}", is_met=reached <= limit)]


def markdown(goals: Iterable[Goal]) -> str:
    """A table of all goals."""
    lines = [f"| {goal.workload} | {goal.wanted} | {goal.reached} | {'met' if goal.is_met else '**not met**'} |" for goal in goals]
    return "\n".join(["### Goals\n", "| workload | goal | reached | |", "| --- | --- | --- | --- |", *lines, ""])
