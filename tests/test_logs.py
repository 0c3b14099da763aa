"""Logs say what went wrong, and never what a handler was given."""

import json
import subprocess
import sys

import structlog

from jobhub.logs import OncePerMinute

CODE = """
import structlog
from jobhub.logs import configure_logging

def run(parameters):
    raise ValueError("broken")

configure_logging("INFO")
try:
    run({"token": "hunter" + "2"})
except ValueError as error:
    structlog.get_logger().error("attempt_broke", exc_info=error)
"""


def test_a_traceback_shows_no_values_of_variables() -> None:
    logged = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stderr

    line = json.loads(logged)
    assert line["exception"][0]["exc_value"] == "broken"
    assert line["exception"][0]["frames"][-1]["name"] == "run"
    assert "hunter2" not in logged


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def passed_on(limit: OncePerMinute, **event: object) -> dict[str, object] | None:
    try:
        return dict(limit(None, "warning", dict(event)))
    except structlog.DropEvent:
        return None


def test_an_outage_is_one_line_a_minute_and_says_what_it_kept_back() -> None:
    clock = Clock()
    limit = OncePerMinute(clock)

    assert passed_on(limit, event="claim_failed") == {"event": "claim_failed"}
    assert [passed_on(limit, event="claim_failed") for _ in range(3)] == [None] * 3
    clock.now += 59
    assert passed_on(limit, event="claim_failed") is None
    clock.now += 1
    assert passed_on(limit, event="claim_failed") == {"event": "claim_failed", "kept_back": 4}


def test_each_loop_has_a_line_of_its_own_and_bugs_are_never_kept_back() -> None:
    limit = OncePerMinute(Clock())

    assert all(passed_on(limit, event="loop_waits_for_database", loop=loop) for loop in ("promote", "rescue"))
    assert all(passed_on(limit, event="loop_failed") for _ in range(3))


def test_the_next_outage_is_news_unless_this_one_has_just_begun() -> None:
    clock = Clock()
    limit = OncePerMinute(clock)
    passed_on(limit, event="database_lost")
    passed_on(limit, event="database_back")
    assert passed_on(limit, event="database_lost") is None  # a server that kills connections all the time

    clock.now += 6
    assert passed_on(limit, event="database_back")
    assert passed_on(limit, event="database_lost")
