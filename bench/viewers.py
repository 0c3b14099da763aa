"""Pages that people keep open: a process that opens them, follows them as static/live.js does, and ends with its standard input.

    .venv/bin/python -m bench.viewers PORT < PAGES

PAGES is one line, a JSON list of {"path", "cookie"}. Prints `ready` once all are open, and at the end a JSON object: how often a page was
asked for, how many events came, how many streams were opened and how many were lost. Not here: what moves on them (`bench.dashboard`).
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

# As static/live.js: a list is asked for again at most every two seconds.
RELOAD_SECONDS = 2.0
OPEN_WITHIN_SECONDS = 10.0  # nobody opens two hundred pages in one moment
_ROW = re.compile(rb'<tr id="job-[^"]*" data-job="([^"]*)" data-version="(\d+)" data-status="(\w+)"')
_STREAM = re.compile(rb'data-stream="([^"]*)"')
_EVERY = re.compile(rb'data-every="(\d+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class OpenPage:
    """One page of one person."""

    def __init__(self, port: int, path: str, cookie: str, counts: Counter[str]) -> None:
        self._port = port
        self._path = path
        self._head = f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nAccept: text/html\r\n\r\n"
        self._counts = counts
        self._rows: dict[str, tuple[str, str]] = {}
        self._pace_seconds = 0.0
        self._wanted = asyncio.Event()
        self.is_open = asyncio.Event()

    async def keep(self) -> None:
        """Open it, follow it, and ask for it again when there is more to see; without end."""
        await asyncio.sleep(random.uniform(0, OPEN_WITHIN_SECONDS))
        page = await self._ask()
        stream, every = _STREAM.search(page), _EVERY.search(page)
        following = asyncio.create_task(self._follow(stream[1].decode().replace("&amp;", "&"))) if stream else None
        self.is_open.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(float(every[1]) if every else None):
                    await self._wanted.wait()
            await asyncio.sleep(max(0.0, self._asked_at + max(RELOAD_SECONDS, self._pace_seconds) - time.monotonic()))
            before = list(self._rows)
            await self._ask()
            if stream and following and list(self._rows) != before:
                following.cancel()
                following = asyncio.create_task(self._follow(stream[1].decode().replace("&amp;", "&")))

    async def _ask(self) -> bytes:
        self._wanted.clear()
        self._asked_at = time.monotonic()
        self._counts["pages"] += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)  # the server has closed the last one, which was idle
        try:
            writer.write(f"GET {self._path} {self._head}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            assert head.startswith(b"HTTP/1.1 200"), head
            assert length
            page = await reader.readexactly(int(length[1]))
        finally:
            writer.close()
        self._rows = {job_id.decode(): (version.decode(), status.decode()) for job_id, version, status in _ROW.findall(page)}
        return page

    async def _follow(self, path: str) -> None:
        self._counts["streams"] += 1
        rows = ",".join(f"{job_id}.{version}" for job_id, (version, _) in self._rows.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET {path}{'&' if '?' in path else '?'}rows={rows} {self._head}".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self._take(json.loads(line[6:]))
            self._counts["lost"] += 1
        except (OSError, AssertionError, asyncio.IncompleteReadError):
            self._counts["lost"] += 1
        finally:
            writer.close()

    def _take(self, change: dict[str, Any]) -> None:
        self._counts["events"] += 1
        self._pace_seconds = change["pace_seconds"]
        if "html" not in change or self._rows.get(change["id"], ("", ""))[1] != change["status"]:
            self._wanted.set()


async def view(port: int, pages: list[dict[str, str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    opened = [OpenPage(port, page["path"], page["cookie"], counts) for page in pages]
    kept = [asyncio.create_task(page.keep()) for page in opened]
    until_told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    all_open = asyncio.gather(*(page.is_open.wait() for page in opened))
    await asyncio.wait([all_open, until_told, *kept], return_when=asyncio.FIRST_COMPLETED)
    if all_open.done():
        print("ready", flush=True)
        counts.clear()
        await asyncio.wait([until_told, *kept], return_when=asyncio.FIRST_COMPLETED)
    for task in kept:
        if task.done():
            task.result()  # raises what ended it
        task.cancel()
    return counts


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(view(int(sys.argv[1]), json.loads(sys.stdin.readline())))))
