"""Event streams in pieces of any size."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobhub.client.events import Event, EventParser

STREAM = (
    b": hello\r\nretry: 2000\r\n\r\nid: 1\revent: job\rdata: {\r\r"
    b"data:first\ndata: second\n\nevent: none\n\ndata: \xe2\x9c\x93\n\nretry: soon\nevent: cut off\ndata: x"
)
EVENTS = [Event("job", "{"), Event("message", "first\nsecond"), Event("message", "✓")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts):
    parser, borders = EventParser(), [0, *sorted(cuts), len(STREAM)]

    found = [event for begin, end in itertools.pairwise(borders) for event in parser.feed(STREAM[begin:end])]

    assert found == EVENTS
    assert parser.reconnect_seconds == 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_ends_a_line(end):
    parser = EventParser()

    found = [event for byte in end.join([b"data: a", b"", b"data: b", b"", b": x"]) for event in parser.feed(bytes([byte]))]

    assert found == [Event("message", "a"), Event("message", "b")]
