"""Jobs that become due at a fixed rate, ten at a time or so. Not here: who works them off (`bench.processes`)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.peers import jobhub_peer

EVERY_SECONDS = 0.01


@contextmanager
def feeding(dsn: str, rate: int) -> Iterator[dict[int, int]]:
    """So many jobs a second until the block ends: when each was committed, in nanoseconds, by its number. Those that were late make up for it."""
    committed: dict[int, int] = {}
    ended = threading.Event()

    def feed() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            began_at, fed = time.monotonic(), 0
            while not ended.wait(EVERY_SECONDS):
                due = int((time.monotonic() - began_at) * rate)
                connection.execute(jobhub_peer.DUE, {"first": fed + 1, "last": due, "priority": 0})
                committed.update(dict.fromkeys(range(fed + 1, due + 1), time.time_ns()))
                fed = due

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield committed
    finally:
        ended.set()
        thread.join()
