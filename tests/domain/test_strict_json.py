"""JSON taken literally: what is refused, where, and how deep a value is."""

import pytest

from jobhub.domain.errors import InvalidInput
from jobhub.domain.strict_json import child_pointer, measure, parse_json

# (text, the value)
KEPT = [
    (b"{}", {}),
    (b' [1, -2, 0.5, true, null, "a"] ', [1, -2, 0.5, True, None, "a"]),
    (b"9223372036854775807", 2**63 - 1),
    (b"-9223372036854775807", -(2**63) + 1),
    (b"0e10", 0.0),
    (b"0.000e5", 0.0),
    (b"5e-324", 5e-324),
    (rb'"\ud83d\ude00"', "😀"),
    (rb'"\u0001"', "\x01"),
    (b'{"": 1, "a/b~c": 2}', {"": 1, "a/b~c": 2}),
]


@pytest.mark.parametrize(("text", "value"), KEPT)
def test_a_sound_value_is_kept(text, value):
    found, faults = parse_json(text)

    assert (found, faults) == (value, [])
    assert type(found) is type(value)


# (text, pointers of the faults)
FAULTY = [
    (rb'"\u0000"', [""]),
    (rb'"\ud800"', [""]),
    (rb'["a", ["\udc00"]]', ["/1/0"]),
    (rb'{"a/b~c": "\u0000"}', ["/a~1b~0c"]),
    (rb'{"a": {"\u0000": 1}}', ["/a"]),
    (b'{"a": {"b": 1, "b": 1}, "c": {"d": 1, "d": 2}}', ["/a", "/c"]),
    (b'{"a": 1, "a": 1}', [""]),
    (b"[9223372036854775808, -9223372036854775808, 1]", ["/0", "/1"]),
    (b"[1e309, -1e309, 1e-400, 12e-400]", ["/0", "/1", "/2", "/3"]),
]


@pytest.mark.parametrize(("text", "pointers"), FAULTY)
def test_every_fault_is_named_with_its_place(text, pointers):
    _, faults = parse_json(text)

    assert sorted(fault.pointer for fault in faults) == pointers


@pytest.mark.parametrize("text", [b"", b"{", b"{}{}", b"NaN", b"[Infinity]", b"'a'", b"\xef\xbb\xbf{}", b"\xff", b"[1,]", b"01", b'"\n"'])
def test_what_is_no_json_is_refused_as_a_whole(text):
    with pytest.raises(InvalidInput) as refused:
        parse_json(text)

    assert (refused.value.code, refused.value.errors) == ("malformed_json", ())


def test_endless_nesting_is_refused():
    with pytest.raises(InvalidInput) as refused:
        parse_json(b"[" * 100_000)

    assert refused.value.code == "too_deep"


@pytest.mark.parametrize(
    ("value", "depth", "nodes"),
    [(1, 0, 1), ({}, 1, 1), ([], 1, 1), ({"a": 1}, 1, 2), ({"a": []}, 2, 2), ([[1], [[2]]], 3, 6), ({"a": {"b": {}}, "c": 1}, 3, 4)],
)
def test_depth_and_nodes_are_counted(value, depth, nodes):
    assert measure(value) == (depth, nodes)


def test_a_hostile_key_does_not_make_the_pointer_endless_or_unprintable():
    pointer = child_pointer("", "\0\ud800" + "x" * 1000)

    assert pointer.startswith("/��x")
    assert len(pointer) < 300
