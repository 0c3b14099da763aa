"""What a fault came to, in figures: one line when its test ends, and a table in Markdown of all of them.

`python -m tests.faults.figures FILE` prints the table of what the tests have appended to FILE (the variable FAULTS_FIGURES).
"""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from jobhub.postgres.binaries import find_binaries

VARIABLE = "FAULTS_FIGURES"
PACKAGES = ("jobhub", "litestar", "uvicorn", "asyncpg", "procrastinate", "psycopg")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`accepted_twice` counts outcomes and submits that took effect twice: always a bug. `executed_twice` counts effects of handlers
    beyond the first of a job, which at least once means they must bear. Recovery is None where there is nothing to recover from.
    """

    fault: str
    what: str
    jobs: int
    calls: int
    unknown: int
    lost: int
    accepted_twice: int
    executed_twice: int
    recovery_seconds: float | None
    violations: int
    note: str = ""

    def line(self) -> str:
        recovery = "-" if self.recovery_seconds is None else f"{self.recovery_seconds:.1f} s"
        return (
            f"{self.fault} {self.what}: jobs {self.jobs}, losses {self.lost}, duplicates accepted {self.accepted_twice}, "
            f"duplicates executed {self.executed_twice}, time to recovery {recovery}, calls {self.calls} ({self.unknown} unknown), "
            f"violations {self.violations}{f', {self.note}' if self.note else ''}"
        )


def combine(fault: str, what: str, parts: Sequence[Figures], *, recovery_seconds: float | None, note: str) -> Figures:
    """The sum of some."""
    names = ("jobs", "calls", "unknown", "lost", "accepted_twice", "executed_twice", "violations")
    sums = {name: sum(getattr(part, name) for part in parts) for name in names}
    return Figures(fault=fault, what=what, recovery_seconds=recovery_seconds, note=note, **sums)


def show(figures: Figures) -> None:
    """Print the line."""
    print(figures.line())


def report(figures: Figures) -> None:
    """Print the line, and keep it for the table if somebody wants one."""
    show(figures)
    if path := os.environ.get(VARIABLE):
        with Path(path).open("ab") as file:
            file.write(msgspec.json.encode(figures) + b"\n")


def table(rows: Iterable[Figures]) -> str:
    """The table that stands in docs/reliability.md."""
    lines = [
        "| fault | jobs | calls, outcome unknown | lost | accepted twice | executed twice | recovery | remarks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row.fault):
        recovery = "–" if row.recovery_seconds is None else f"{row.recovery_seconds:.1f} s"
        lines.append(
            f"| {row.fault} {row.what} | {row.jobs} | {row.calls}, {row.unknown} | {row.lost} | {row.accepted_twice} "
            f"| {row.executed_twice} | {recovery} | {row.note or '–'} |"
        )
    return "\n".join(lines)


def read(path: Path) -> list[Figures]:
    return [msgspec.json.decode(line, type=Figures) for line in path.read_bytes().splitlines()]


def surroundings() -> str:
    """What the figures depend on, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    machine = f"{os.cpu_count()} CPUs, {memory} GB, {platform.system()} {platform.release()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{machine}, Python {platform.python_version()}, PostgreSQL {find_binaries(os.environ).major}, {packages}"


if __name__ == "__main__":
    print(f"\n{surroundings()}\n\n{table(read(Path(sys.argv[1])))}")
