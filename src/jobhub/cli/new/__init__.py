"""`jobhub new`: a small working package with a handler, its tests and a Makefile, to start from."""

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jobhub.domain.errors import OperatorError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)
_PLACEHOLDER = "mypackage"


def write_package(directory: Path) -> list[Path]:
    """Write it into a directory that is not there yet, whose name becomes the package's; the files, in order.

    Raises:
        OperatorError: the name is no package's, or something is there already.
    """
    name = directory.name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise OperatorError(f"{name!r} can't be the name of a package: use lower-case letters, digits and _, beginning with a letter.")
    if directory.exists():
        raise OperatorError(f"{directory} is there already.")
    return [_write(template, directory, name) for template in _templates(files(__name__) / "template")]


def _templates(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    """The path and the text of every template."""
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".txt"):  # so that no tool takes a template for a part of jobhub
            found.append((prefix + entry.name.removesuffix(".txt"), entry.read_text(encoding="utf-8")))
    return found


def _write(template: tuple[str, str], directory: Path, name: str) -> Path:
    path, text = template
    target = directory / path.replace(_PLACEHOLDER, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace(_PLACEHOLDER, name), encoding="utf-8")
    return target
