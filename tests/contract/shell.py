"""One shell in which the commands of a document are typed, one after the other, as somebody does who waits for what they want to see."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.contract.documents import Step, is_as_expected

_END = "@@@ end "
_CHANGES = re.compile(r" -d | -X |^echo|&$")
_SHORT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-…")
# What differs from run to run: times, versions, and how far a job is that goes on.
_VARYING = (
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    re.compile(r'(?<="version":)\d+'),
    re.compile(r'(?<=etag: ")\d+|(?<=^id: )\d+'),
    re.compile(r'(?<="progress_percentage":)(?!100\b)\d+'),
    re.compile(r'(?<=Step )\d+|(?<="receipt":")\w+'),
    re.compile(r"(?<=administrator admin@jobhub.localhost )\S+"),
    re.compile(r"(?<=postgresql: version )[\d.]+|(?<=schema: at )\d+|(?<=database's are )[\d.]+(?= s apart)"),
)


class Shell:
    """A bash without a terminal. Standard error goes to a file, for whoever looks for the cause of a failure."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._errors = directory / "shell.stderr"
        self._ids: dict[str, str] = {}
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                ["bash"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=directory,
                env=dict(environ),
                start_new_session=True,
            )

    def end(self) -> None:
        """End it, and what it left in the background."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, command: str) -> tuple[list[str], int]:
        """What a command prints, as lines with single spaces, and its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{\n{command}\n}} </dev/null\nprintf '\\n{_END}%s\\n' $?\n")
        self._process.stdin.flush()
        shown: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_END):
                return [line for line in shown if line], int(line.removeprefix(_END))
            shown.append(" ".join(line.split()))
        raise AssertionError(f"the shell ended with {command!r}: {self._errors.read_text()}")

    def follow(self, step: Step, *, seconds: float = 30) -> None:
        """Do a step until it shows what the document says, or succeeds where that shows nothing.

        What is only looked at is looked at again. An id that a document shortens stands, from then on, for the id that was in its place.
        """
        deadline = time.monotonic() + seconds
        command = _SHORT_ID.sub(lambda found: self._ids[found[0]], step.command)
        expected = _joined([line for line in step.expected if line.strip()])
        loose = Step(command, [_loosened(line) for line in expected])
        shown, status = self.run(command)
        while not (is_as_expected(loose, shown) if expected else status == 0):
            if _CHANGES.search(command) or time.monotonic() > deadline:
                raise AssertionError((command, status, expected, shown, self._errors.read_text()[-2000:]))
            time.sleep(0.1)
            shown, status = self.run(command)
        for line, real in zip(expected, shown, strict=False):
            if (short := re.search(rf'"id":"({_SHORT_ID.pattern})"', line)) and (whole := re.search(r'"id":"([0-9a-f-]{36})"', real)):
                self._ids[short[1]] = whole[1]


def _joined(lines: list[str]) -> list[str]:
    """Lines of JSON that a document breaks, as the one they are."""
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].count("{") > joined[-1].count("}"):
            joined[-1] += ("" if joined[-1].endswith((",", "{", "[")) else " ") + line
        else:
            joined.append(line)
    return joined


def _loosened(line: str) -> str:
    line = _SHORT_ID.sub("…", line)
    for varying in _VARYING:
        line = varying.sub("…", line)
    return line
