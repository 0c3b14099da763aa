"""Checks every link from one file of this checkout to another, headings too: `make check` runs it, without a network.

Not here: links inside the built site, which Sphinx makes of these.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^ *(```|~~~|:::).*?^ *\1`*:*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)


def main() -> int:
    """Name each broken link; exit status 1 if there is one."""
    broken = [fault for page in _pages() for fault in faults(page)]
    for fault in broken:
        print(fault, file=sys.stderr)  # noqa: T201
    return 1 if broken else 0


def _pages() -> list[Path]:
    """What git keeps, or would."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [page for name in sorted(set(listed.stdout.splitlines())) if (page := ROOT / name).exists()]


def faults(page: Path) -> Iterator[str]:
    """A sentence for each link of a page that leads to nothing."""
    for link in _LINK.finditer(_FENCE.sub("", page.read_text())):
        target = link[1] or link[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{page}: {target} leads to nothing"
        elif anchor and anchor not in _anchors(file):
            yield f"{page}: {target} names no heading of {file}"


@cache
def _anchors(page: Path) -> set[str]:
    """What a forge makes of the headings: lower case, no punctuation, hyphens for blanks, numbers for repeated ones."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 1
        unique = slug
        while unique in anchors:
            unique, number = f"{slug}-{number}", number + 1
        anchors.add(unique)
    return anchors


if __name__ == "__main__":
    sys.exit(main())
