"""Code blocks of documents, and their console sessions run at a terminal and compared with what the document shows."""

import os
import pty
import re
import subprocess
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")


class Step(msgspec.Struct):
    """A command, and the lines below it."""

    command: str
    expected: list[str]


def blocks(document: str, language: str) -> list[str]:
    """The blocks of a language, in order."""
    return [code for found, code in _BLOCK.findall((ROOT / document).read_text(encoding="utf-8")) if found == language]


def console_steps(document: str) -> list[Step]:
    """All commands of a document."""
    steps: list[Step] = []
    for block in blocks(document, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], []))
            elif _goes_on(steps[-1]):
                steps[-1].command += "\n" + line
            else:
                steps[-1].expected.append(line)
    return steps


def _goes_on(step: Step) -> bool:
    """Whether the shell would wait for the rest of a command: of a text in quotes, of a here-document, or after a backslash."""
    if step.expected:
        return False
    read = subprocess.run(["bash", "-n", "-c", step.command], capture_output=True, text=True, timeout=10)
    return step.command.endswith("\\") or bool(read.stderr)


def run_steps(steps: list[Step], *, environ: dict[str, str], directory: Path) -> list[list[str]]:
    """What each command shows, all in one shell at a terminal."""
    script = "".join(f"printf '@@@%s\\n' {number}; (exit $status)\n{step.command}\nstatus=$?\n" for number, step in enumerate(steps))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", f"status=0\n{script}"],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"},
        cwd=directory,
    )
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:  # Linux' way to say that the other side is closed
        pass
    os.close(master)
    process.wait(60)
    parts = re.split(r"@@@\d+\n", _ESCAPES.sub("", shown.decode()).replace("\r", "\n"))[1:]
    return [[line for text in part.splitlines() if (line := " ".join(text.split()))] for part in parts]


def is_as_expected(step: Step, shown: list[str]) -> bool:
    """Whether a document tells the truth; `…` stands for anything, alone on a line for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, " ".join(line.split()).split("…"))) + "\n"
        for line in step.expected
    )
    text = "".join(f"{line}\n" for line in shown)
    return re.search(f"(?:^|\n){pattern}$", text) is not None if step.expected else text == ""
