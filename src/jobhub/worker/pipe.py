"""Pipes from a handler's process to its worker. What is read from them, and for how long, is their reader's business."""

import asyncio
import fcntl
import os
import sys
import termios
from collections.abc import AsyncGenerator
from contextlib import suppress

CHUNK_BYTES = 65_536


class Pipe:
    """Read here, written to there. Its end doesn't depend on who else, a daemon the handler left, holds it open."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._woken = asyncio.Event()
        self._over = asyncio.Event()
        self._left = 0

    async def read(self) -> bytes:
        """The next bytes; none: there will be no more. Other tasks get their turn, however fast they come."""
        while not self._over.is_set():
            try:
                part = os.read(self._read_end, CHUNK_BYTES)
            except BlockingIOError:
                await self._readable()
            else:
                await asyncio.sleep(0)
                return part
        if not self._left:
            return b""
        part = os.read(self._read_end, self._left)
        self._left -= len(part)
        return part

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._read_end, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            loop.remove_reader(self._read_end)
            self._woken.clear()

    async def pause(self, seconds: float) -> None:
        """Let the writer wait for so long, unless it is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def end(self) -> None:
        """The process is dead: give what is in the pipe now, and nothing that others write to it later."""
        if self._read_end >= 0:
            in_pipe = fcntl.ioctl(self._read_end, termios.FIONREAD, bytes(4))
            self._left = int.from_bytes(in_pipe, sys.byteorder)
        self._over.set()
        self._woken.set()

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        self.close_write_end()
        os.close(self._read_end)
        self._read_end = -1


class LineTooLong(Exception):
    """No line that either side would write."""


async def lines(pipe: Pipe, *, max_bytes: int) -> AsyncGenerator[bytes]:
    """The whole lines that come out of a pipe, without their ends.

    Raises:
        LineTooLong
    """
    rest = bytearray()
    while part := await pipe.read():
        *whole, last = part.split(b"\n")
        for line in whole:
            yield bytes(rest) + line
            rest.clear()
        rest += last
        if len(rest) > max_bytes:
            raise LineTooLong
