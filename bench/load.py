"""Sends requests again and again over keep-alive connections, for a time: a process of its own, so that it takes a core of its own.

    .venv/bin/python -m bench.load PORT CONNECTIONS SECONDS [PAUSE] < REQUESTS

REQUESTS is one raw HTTP/1.1 request, or several with a zero byte between, which take turns; `{key}` in their headers is another key each
time. Each connection pauses so many seconds between an answer and its next request, not at all unless told. Prints a JSON object: how many
answers by status, how long it took, the latencies' p50 and p99 in milliseconds. What is on its way at the end is waited for, so that the
counts are exact. Not a general client: an answer must have a Content-Length.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

from bench.tables import percentile

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_KEY = b"{key}"


class Connection(asyncio.Protocol):
    """One connection with one request on its way at a time."""

    def __init__(self, requests: Iterator[bytes], until: float, pause: float) -> None:
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._until = until
        self._pause = pause
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]  # what TCP has
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        assert length is not None
        if len(self._received) < head_end + len(_HEAD_END) + int(length[1]):
            return
        self.seconds.append(time.perf_counter() - self._sent_at)
        self.statuses[self._received[9:12].decode()] += 1
        self._received = b""
        if self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._go_on)
        else:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._until:
            self.statuses["connection lost"] += 1
        self.closed.set_result(None)

    def _go_on(self) -> None:
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests).replace(_KEY, os.urandom(16).hex().encode()))


async def load(port: int, connections: int, seconds: float, pause: float, requests: list[bytes]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    in_turn = cycle(requests)
    began_at = time.perf_counter()
    until = began_at + seconds
    made = [await loop.create_connection(lambda: Connection(in_turn, until, pause), "127.0.0.1", port) for _ in range(connections)]
    protocols = [protocol for _, protocol in made]
    await asyncio.gather(*(protocol.closed for protocol in protocols))
    lasted = time.perf_counter() - began_at
    latencies = [one * 1e3 for protocol in protocols for one in protocol.seconds]
    statuses = sum((protocol.statuses for protocol in protocols), Counter())
    return {"statuses": statuses, "seconds": lasted, "p50": percentile(latencies, 0.50), "p99": percentile(latencies, 0.99)}


if __name__ == "__main__":
    import uvloop

    port, connections, seconds, *pause = sys.argv[1:]
    requests = sys.stdin.buffer.read().split(b"\0")
    print(json.dumps(uvloop.run(load(int(port), int(connections), float(seconds), float(*pause), requests))))
