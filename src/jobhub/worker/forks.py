"""Copies of a worker, which a handler makes with os.fork: they have our connections and must not go on as workers."""

import asyncio
import os
import select
import socket
from contextlib import suppress
from pathlib import Path


def end_copies(loop: asyncio.AbstractEventLoop) -> None:
    """From now on, a forked copy of this process has none of its connections, and ends when it comes back to the event loop.

    What it does before, like a child of multiprocessing, is its own business.
    """
    os.register_at_fork(after_in_child=lambda: _end_when_back(loop))


def _end_when_back(loop: asyncio.AbstractEventLoop) -> None:
    # Before its end it may come to steps of other handlers, and to what has arrived for them.
    with suppress(OSError):  # without /proc there remains the end
        for entry in list(Path("/proc/self/fd").iterdir()):
            with suppress(OSError):  # the listing's own
                _cut_off(int(entry.name), str(entry.readlink()))
    loop.call_soon(os._exit, 70)


def _cut_off(descriptor: int, target: str) -> None:
    if target == "anon_inode:[eventpoll]":
        with select.epoll() as nothing_to_wait_for:
            os.dup2(nothing_to_wait_for.fileno(), descriptor, inheritable=False)
    elif target.startswith("socket:") and _is_connection(descriptor):
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


def _is_connection(descriptor: int) -> bool:
    """Whether there is a named peer; the ends of pairs, by which a child may talk to its parent, have none."""
    peer = socket.socket(fileno=descriptor)
    try:
        return bool(peer.getpeername())
    finally:
        peer.detach()
