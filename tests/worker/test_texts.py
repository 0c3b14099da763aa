"""Texts and results made storable."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from jobhub.worker import texts
from jobhub.worker.texts import MAX_RESULT_BYTES, NotStorable, storable_result, storable_text, traceback_text


class Point(msgspec.Struct):
    x: int


@dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    ("text", "stored"),
    [("", ""), ("grüße 🎉", "grüße 🎉"), ("a\x00b", "a\ufffdb"), ("\ud800\udfff", "\ufffd\ufffd"), ("tab\tline\n\x01", "tab\tline\n\x01")],
)
def test_a_text_loses_only_what_postgresql_can_not_hold(text: str, stored: str) -> None:
    assert storable_text(text) == stored


def test_a_text_is_cut_in_the_middle_one_character_past_the_limit() -> None:
    assert storable_text("a" * 100, 100) == "a" * 100
    cut = storable_text("a" * 50 + "x" + "b" * 50, 100)
    assert cut == "a" * 30 + "\n… 41 characters left out …\n" + "b" * 30
    assert storable_text(cut, 100) == cut


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        (Point(1), {"x": 1}),
        (Size(2), {"width": 2}),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (Decimal("1.50"), "1.50"),
        ((1, {2}), [1, [2]]),
        ({1: {2.5: None}}, {"1": {"2.5": None}}),
        ({"a\x00": ["\udc80"]}, {"a\ufffd": ["\ufffd"]}),
        (2**200, 2**200),
        ({"word": "null", "number": 1.5, "nothing": None}, {"word": "null", "number": 1.5, "nothing": None}),
    ],
    ids=repr,
)
def test_a_result_becomes_plain_json(result: Any, stored: Any) -> None:
    assert msgspec.json.encode(storable_result(result)) == msgspec.json.encode(stored)


@pytest.mark.parametrize("result", [object(), {(): 1}, {None: 1}, math.nan, {"a": [-math.inf]}, 1j], ids=lambda value: type(value).__name__)
def test_what_is_no_json_is_refused(result: Any) -> None:
    with pytest.raises(NotStorable, match="no JSON"):
        storable_result(result)


def test_a_result_that_holds_itself_is_refused() -> None:
    result: list[Any] = []
    result.append(result)

    with pytest.raises(NotStorable):
        storable_result(result)


def test_the_limit_counts_bytes_of_json() -> None:
    assert storable_result("x" * (MAX_RESULT_BYTES - 2))
    with pytest.raises(NotStorable, match=str(MAX_RESULT_BYTES + 1)):
        storable_result("x" * (MAX_RESULT_BYTES - 1))
    with pytest.raises(NotStorable):
        storable_result("é" * (MAX_RESULT_BYTES // 2))


def test_a_traceback_shows_where_and_why() -> None:
    try:
        raise ValueError("why \x00") from KeyError("cause")
    except ValueError as error:
        text = traceback_text(error)

    assert "ValueError: why \ufffd" in text
    assert "KeyError: 'cause'" in text
    assert __file__ in text


def test_a_traceback_is_had_even_of_an_exception_without_words() -> None:
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "Wordless" in traceback_text(Wordless())


class Leaving:
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(("thing", "text"), [(12, "12"), (None, "None"), (Leaving(), "Leaving, whose text can't be had: SystemExit")])
def test_anything_has_a_text(thing: object, text: str) -> None:
    assert storable_text(thing) == text


def test_a_text_of_megabytes_is_cut_before_it_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Pattern:
        def sub(self, replacement: str, text: str) -> str:
            seen.append(len(text))
            return text

    monkeypatch.setattr(texts, "_UNSTORABLE", Pattern())

    storable_text("\x00" * 10_000_000)

    assert max(seen) < 3_000


def test_a_result_that_is_too_long_is_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(value: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(texts, "_clean", walk)

    with pytest.raises(NotStorable, match="bytes of JSON"):
        storable_result([None] * 3_000_000)
