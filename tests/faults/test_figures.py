from pathlib import Path

import msgspec
import pytest

from tests.faults.figures import VARIABLE, Figures, combine, read, report, table

FIGURES = Figures(
    fault="F-01",
    what="a worker killed",
    jobs=10,
    calls=20,
    unknown=3,
    lost=0,
    accepted_twice=0,
    executed_twice=2,
    recovery_seconds=15.04,
    violations=0,
)


def test_a_fault_is_told_in_one_line() -> None:
    assert FIGURES.line() == (
        "F-01 a worker killed: jobs 10, losses 0, duplicates accepted 0, duplicates executed 2, time to recovery 15.0 s, "
        "calls 20 (3 unknown), violations 0"
    )


def test_what_was_reported_makes_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "figures"))
    report(msgspec.structs.replace(FIGURES, fault="F-02", recovery_seconds=None, note="a remark"))
    report(FIGURES)

    assert table(read(tmp_path / "figures")).splitlines()[2:] == [
        "| F-01 a worker killed | 10 | 20, 3 | 0 | 0 | 2 | 15.0 s | – |",
        "| F-02 a worker killed | 10 | 20, 3 | 0 | 0 | 2 | – | a remark |",
    ]


def test_rounds_are_summed_up() -> None:
    both = combine("F-48", "mix", [FIGURES, FIGURES], recovery_seconds=16.0, note="2 rounds")

    assert (both.jobs, both.calls, both.unknown, both.executed_twice, both.recovery_seconds) == (20, 40, 6, 4, 16.0)
