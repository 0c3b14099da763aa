"""What a handler's process prints: on the log, in bounded amounts."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from jobhub.worker.output import MAX_END_BYTES, MAX_LOGGED_BYTES, log_output
from jobhub.worker.pipe import CHUNK_BYTES, Pipe


@contextmanager
def written(pipe: Pipe, *parts: bytes) -> Iterator[None]:
    """Parts that another thread writes, each whole, waiting whenever the pipe is full; then the end."""

    def write() -> None:
        with os.fdopen(os.dup(pipe.write_end), "wb", buffering=0) as file:
            pipe.close_write_end()
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[file.write(view) :]

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()


async def logged(*parts: bytes) -> list[Any]:
    """The entries made of what was written."""
    pipe = Pipe()
    with structlog.testing.capture_logs() as entries, written(pipe, *parts):
        async with asyncio.timeout(20):
            await log_output(pipe, structlog.get_logger())
    return entries


async def test_a_line_becomes_an_entry() -> None:
    assert await logged("grüße\n".encode()) == [{"event": "handler_output", "text": "grüße\n", "log_level": "info"}]


async def test_without_output_there_is_no_entry() -> None:
    assert await logged() == []


async def test_what_is_no_text_is_shown_as_well_as_can_be() -> None:
    assert [entry["text"] for entry in await logged(b"a\xff\x00b")] == ["a\ufffd\x00b"]


async def test_of_50_megabytes_the_beginning_and_the_end_are_logged() -> None:
    *entries, cut = await logged(b"first ", b"x" * 50_000_000, b" last")

    text = "".join(entry["text"] for entry in entries)
    assert text.startswith("first xxx")
    assert MAX_LOGGED_BYTES <= len(text) < MAX_LOGGED_BYTES + CHUNK_BYTES
    assert cut["event"] == "handler_output_cut"
    assert cut["left_out_bytes"] == 50_000_011 - len(text)
    assert cut["end"] == "x" * (MAX_END_BYTES - 5) + " last"


async def test_a_process_that_prints_letter_by_letter_makes_few_entries() -> None:
    entries = await logged(*[b"x"] * 5_000)

    assert sum(len(entry["text"]) for entry in entries) == 5_000
    assert len(entries) < 500


async def test_a_pipe_that_others_hold_open_ends_with_its_process_and_loses_nothing() -> None:
    pipe = Pipe()
    os.write(pipe.write_end, b"last words")
    later = os.dup(pipe.write_end)
    with structlog.testing.capture_logs() as entries:
        task = asyncio.create_task(log_output(pipe, structlog.get_logger()))
        await asyncio.sleep(0)
        os.write(pipe.write_end, b", really")

        pipe.end()
        os.write(later, b" of somebody else")
        async with asyncio.timeout(10):
            await task

    os.close(later)
    assert "".join(entry["text"] for entry in entries) == "last words, really"
