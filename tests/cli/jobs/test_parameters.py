"""What is typed becomes what the job type's JSON Schema wants."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import pytest

from jobhub.cli.jobs.parameters import read_pairs, read_time

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Inner(msgspec.Struct):
    x: int


class Everything(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    text: str = ""
    number: Annotated[float, msgspec.Meta(ge=0)] = 0
    count: int = 0
    flag: bool = False
    maybe: int | None = None
    either: int | str = 0
    choice: Literal["1", "two"] = "1"
    names: list[str] = []
    inner: Inner | None = None
    anything: Any = None
    at: datetime | None = None


SCHEMA = msgspec.json.schema(Everything)


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=5", "5"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=true", "true"),
        ("number=5", 5),
        ("number=5.5", 5.5),
        ("number=1e3", 1000.0),
        ("count=007", 7),
        ("count=-3", -3),
        ("flag=true", True),
        ("flag=false", False),
        ("maybe=null", None),
        ("maybe=4", 4),
        ("either=4", 4),
        ("either=four", "four"),
        ("choice=1", "1"),
        ('names=["a", "b"]', ["a", "b"]),
        ('inner={"x": 1}', {"x": 1}),
        ("inner=null", None),
        ("anything=5", 5),
        ("anything=five", "five"),
        ("anything=NaN", "NaN"),
        ("at=2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
    ],
)
def test_a_value_is_what_the_schema_wants(pair, value):
    found = read_pairs([pair], SCHEMA)[pair.partition("=")[0]]

    assert (type(found), found) == (type(value), value)
    msgspec.convert({pair.partition("=")[0]: found}, Everything)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["count=many"], "count must be a whole number, not 'many'."),
        (["count=1.5"], "count must be a whole number"),
        (["count=true"], "count must be a whole number"),
        (["flag=yes"], "flag must be true or false, not 'yes'."),
        (["number=NaN"], "number must be a number"),
        (["maybe=x"], "maybe must be a whole number or null"),
        (["names=a,b"], "names must be a JSON array"),
        (["colour=red"], "colour is no parameter of this job type; it has anything, at, choice"),
        (["count=1", "count=2"], "count is given twice."),
        (["count"], "'count' must be name=value."),
        (["=1"], "'=1' must be name=value."),
    ],
)
def test_what_does_not_fit_is_named(pairs, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_pairs(pairs, SCHEMA)


def test_where_the_schema_allows_more_anything_goes():
    assert read_pairs(["a=1", "b=x"], {"type": "object", "properties": {}}) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("+90s", NOW + timedelta(seconds=90)),
        ("+10m", NOW + timedelta(minutes=10)),
        ("+2h", NOW + timedelta(hours=2)),
        ("+3d", NOW + timedelta(days=3)),
        ("-7d", NOW - timedelta(days=7)),
        ("2026-12-24T18:00:00+01:00", datetime(2026, 12, 24, 17, tzinfo=UTC)),
        ("2026-12-24 18:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text, time):
    found = read_time(text, now=NOW)

    assert found == time
    assert found.tzinfo is not None


def test_a_time_without_an_offset_is_that_of_this_machine():
    assert read_time("2026-12-24T18:00", now=NOW) == datetime(2026, 12, 24, 18).astimezone()


@pytest.mark.parametrize("text", ["soon", "10m", "+10", "+99999999999999d", "-99999999999999d", "25:00", ""])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no time"):
        read_time(text, now=NOW)
