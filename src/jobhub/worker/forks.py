"""Copies of a worker, which a handler makes with os.fork: they have our connections and must not go on as workers."""

import asyncio
import os


def end_copies(loop: asyncio.AbstractEventLoop) -> None:
    """From now on, a forked copy of this process ends as soon as it comes back to the event loop.

    What it does before, like a child of multiprocessing, is its own business.
    """
    os.register_at_fork(after_in_child=lambda: loop.call_soon(os._exit, 70))
