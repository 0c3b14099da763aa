"""Lines out of pipes, however they arrive."""

import asyncio
import os
from contextlib import aclosing

import pytest

from jobhub.worker.pipe import LineTooLong, Pipe, lines


async def read_lines(pipe: Pipe, *, max_bytes: int = 1_000_000) -> list[bytes]:
    async with asyncio.timeout(10), aclosing(lines(pipe, max_bytes=max_bytes)) as received:
        return [line async for line in received]


async def test_lines_come_whole_though_their_parts_come_one_by_one() -> None:
    pipe = Pipe()
    task = asyncio.create_task(read_lines(pipe))
    for part in (b"on", b"e\ntwo\nth", b"", b"ree\n\nunfinished"):
        os.write(pipe.write_end, part)
        await asyncio.sleep(0)

    pipe.close_write_end()

    assert await task == [b"one", b"two", b"three", b""]
    pipe.close()


async def test_a_line_without_end_is_refused() -> None:
    pipe = Pipe()
    os.write(pipe.write_end, b"x" * 1_001)

    with pytest.raises(LineTooLong):
        await read_lines(pipe, max_bytes=1_000)

    pipe.close()


async def test_a_pipe_that_was_closed_may_still_be_told_that_it_is_over() -> None:
    pipe = Pipe()

    pipe.close()
    pipe.end()

    assert await read_lines(pipe) == []
