"""Values made into Structs: every field that does not fit is named, and types are taken literally."""

from typing import Annotated, Literal

import msgspec
import pytest

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.job_types import InvalidParameter
from jobhub.domain.validation import convert, with_faults, without_nulls


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    width: Annotated[int, msgspec.Meta(ge=1)]
    name: str = "x"


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    many: list[Inner] = []
    by_name: dict[str, int] = {}
    size: float = 1.0
    kind: Literal["a", "b"] = "a"
    other: Inner | None = None


class Judged(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self):
        if self.low > self.high:
            raise InvalidParameter("high", "must not be less than low")


# (value, pointers of what is wrong)
CASES = [
    ({"inner": {"width": 1}}, []),
    ({"inner": {"width": 1}, "size": 5}, []),
    ({}, ["/inner"]),
    ([], [""]),
    ({"inner": {}}, ["/inner/width"]),
    ({"inner": {"width": 0, "name": 5, "more": 1}}, ["/inner/more", "/inner/name", "/inner/width"]),
    ({"inner": {"width": True}}, ["/inner/width"]),
    ({"inner": {"width": 1.0}}, ["/inner/width"]),
    ({"inner": {"width": "1"}}, ["/inner/width"]),
    ({"inner": {"width": 1}, "many": [{"width": 1}, {"width": 0}, 5, {}]}, ["/many/1/width", "/many/2", "/many/3/width"]),
    ({"inner": {"width": 1}, "by_name": {"a/b": "x", "c": 1, "d": None}}, ["/by_name/a~1b", "/by_name/d"]),
    ({"inner": None, "kind": "c", "size": "1", "unknown": 1}, ["/inner", "/kind", "/size", "/unknown"]),
    ({"inner": {"width": 1}, "other": {"width": 0}}, ["/other/width"]),
]


@pytest.mark.parametrize(("value", "pointers"), CASES)
def test_every_field_that_does_not_fit_is_named(value, pointers):
    try:
        convert(value, Outer)
    except InvalidInput as error:
        found = sorted(item.pointer for item in error.errors)
    else:
        found = []

    assert found == pointers


def test_pointers_start_where_the_value_stands():
    with pytest.raises(InvalidInput) as refused:
        convert({"width": 0}, Inner, pointer="/parameters")

    assert [error.pointer for error in refused.value.errors] == ["/parameters/width"]


def test_a_rule_over_several_fields_names_the_one_it_blames():
    with pytest.raises(InvalidInput) as refused:
        convert({"low": 2, "high": 1}, Judged)

    assert refused.value.errors == (FieldError("/high", "must not be less than low"),)


def test_at_most_a_hundred_errors_are_listed():
    with pytest.raises(InvalidInput) as refused:
        convert({"inner": {"width": 1}, "many": [5] * 1000}, Outer)

    assert len(refused.value.errors) == 100


def test_null_is_nothing_for_optional_fields_only():
    assert without_nulls({"inner": None, "many": None, "unknown": None}, Outer) == {"inner": None, "unknown": None}


def test_a_place_that_was_faulty_already_is_named_once():
    faults, errors = [FieldError("/a", "fault")], [FieldError("/a", "error"), FieldError("/b", "error")]

    assert with_faults(faults, errors) == [FieldError("/a", "fault"), FieldError("/b", "error")]
