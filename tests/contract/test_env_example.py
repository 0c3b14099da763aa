""".env.example names every setting, and nothing that is none."""

import re
from pathlib import Path

import msgspec
import pytest

from jobhub.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
NAMED = dict(re.findall(r"^#?(JOBHUB_[A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
SETTINGS = {f"JOBHUB_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
# Read before there are settings, where a handler runs, or by a client; each by its full name.
ELSEWHERE = ("src/jobhub/postgres", "src/jobhub/handlers", "src/jobhub/cli/jobs", "tests/conftest.py")


def test_the_example_names_every_setting():
    assert set(NAMED) >= SETTINGS


def test_the_example_names_nothing_that_nobody_reads():
    files = [file for place in ELSEWHERE for file in (ROOT.glob(place) if place.endswith(".py") else (ROOT / place).glob("*.py"))]
    read_elsewhere = {name for file in files for name in re.findall(r"[\"'](JOBHUB_[A-Z_]+)[\"']", file.read_text(encoding="utf-8"))}

    assert set(NAMED) - SETTINGS <= read_elsewhere


@pytest.mark.parametrize("field", [field for field in msgspec.structs.fields(Settings) if field.default], ids=lambda field: field.name)
def test_the_example_shows_the_default(field):
    variable = f"JOBHUB_{field.name.upper()}"

    assert getattr(read_settings({variable: NAMED[variable]}), field.name) == field.default
