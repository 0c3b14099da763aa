"""Keeping children running, and ending them together."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobhub.cli import supervisor
from jobhub.cli.supervisor import Child, Supervisor
from tests.worker.processes import is_alive, wait_for

SLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


class Script(Child):
    """A child that runs some Python instead of a jobhub command."""

    def __init__(self, code: str) -> None:
        super().__init__("script", [], os.environ)
        self._command = [sys.executable, "-c", code]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that only moves when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    yield now
    monkeypatch.undo()


def kill(child: Child) -> int:
    """Kill it and wait until it is dead, but not noticed."""
    assert child.process
    child.process.kill()
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    return child.process.pid


def test_a_child_that_dies_is_started_again_after_a_pause(clock: list[float]) -> None:
    child = Script(SLEEP)
    with Supervisor([child], grace_seconds=5) as supervised:
        first = kill(child)

        supervised.tend()
        assert child.process is None
        clock[0] += 0.25
        supervised.tend()

        assert child.process
        assert child.process.pid != first


def test_the_pause_doubles_with_each_death_in_a_row_up_to_half_a_minute(clock: list[float]) -> None:
    child = Script(SLEEP)
    pauses = []
    with Supervisor([child], grace_seconds=5) as supervised:
        for _ in range(9):
            kill(child)
            supervised.tend()
            pauses.append(child._start_again_at - clock[0])
            clock[0] += pauses[-1]
            supervised.tend()

    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_night_of_deaths_does_not_end_the_supervisor(clock: list[float]) -> None:
    child = Script(SLEEP)
    child._deaths = 5000
    with Supervisor([child], grace_seconds=5) as supervised:
        kill(child)

        supervised.tend()

    assert child._start_again_at - clock[0] == supervisor.MAX_PAUSE_SECONDS


def test_a_child_that_had_lived_well_starts_again_soon(clock: list[float]) -> None:
    child = Script(SLEEP)
    child._deaths = 8
    with Supervisor([child], grace_seconds=5) as supervised:
        clock[0] += supervisor.STARTED_WELL_SECONDS + 1
        kill(child)

        supervised.tend()

        assert child._start_again_at - clock[0] == 0.25


def test_leaving_ends_all_children() -> None:
    children = [Script(SLEEP), Script(SLEEP)]
    with Supervisor(children, grace_seconds=10):
        pids = [child.process.pid for child in children if child.process]

    assert [child.process.returncode for child in children if child.process] == [-signal.SIGTERM] * 2
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_that_does_not_listen_is_killed_after_the_grace_time(capfd: pytest.CaptureFixture[str]) -> None:
    child = Script(STUBBORN)
    with Supervisor([child], grace_seconds=0.2):
        wait_for(lambda: "deaf" in capfd.readouterr().err)

    assert child.process
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_can_not_be_started_leaves_none_of_the_others_behind() -> None:
    good, bad = Script(SLEEP), Script(SLEEP)
    bad._command = ["/nowhere/python"]

    with pytest.raises(FileNotFoundError), Supervisor([good, bad], grace_seconds=5):
        pass

    assert good.process
    assert good.process.returncode == -signal.SIGTERM


def test_children_are_told_to_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = f"""
import os, pathlib, time
from tests.cli.test_supervisor import SLEEP, Script, Supervisor
child = Script(SLEEP)
with Supervisor([child], grace_seconds=5):
    pathlib.Path({str(told)!r}).write_text(str(child.process.pid))
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        pid = int(wait_for(lambda: told.exists() and told.read_text()))
        assert is_alive(pid)
    finally:
        process.kill()
        process.wait()

    wait_for(lambda: not is_alive(pid))


def test_only_what_ended_by_itself_with_an_error_has_refused() -> None:
    failed, done, running = Script("raise SystemExit(1)"), Script("raise SystemExit(0)"), Script(SLEEP)
    failed.name = "failed"
    with Supervisor([running, done], grace_seconds=5) as supervised:
        kill(running)
        assert done.process
        done.process.wait()
        assert supervised.refused() is None

    with Supervisor([failed], grace_seconds=5) as supervised:
        assert failed.process
        failed.process.wait()
        assert supervised.refused() == "failed"
