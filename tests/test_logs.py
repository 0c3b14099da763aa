"""Logs say what went wrong, and never what a handler was given."""

import json
import subprocess
import sys

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
