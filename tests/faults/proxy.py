"""A TCP proxy between one process and PostgreSQL that does to connections what networks do to them, and cuts them where it hurts most.

All proxies live on one event loop in a thread of their own; a test controls them from outside, and each order is obeyed when the call
returns. Not here: what the bytes mean (`protocol`).
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any

from tests.faults.protocol import Backend, Frontend

_READ_BYTES = 65536


class At(Enum):
    """Where a trap catches a statement."""

    BEFORE = auto()  # the server never sees it, unless it is let go
    SENT = auto()  # the server has it, and may not have decided yet
    ANSWERED = auto()  # the server has committed; its answer has come as far as the proxy


class Then(Enum):
    """What a trap does with the connection it caught."""

    CUT = auto()
    HOLD = auto()  # until it is let go


class Trap:
    """Waits for the next `count` executions of some statements."""

    def __init__(self, statements: set[str], *, at: At, then: Then, count: int) -> None:
        self.caught: list[str] = []
        self.statements = statements
        self._left = count
        self.at = at
        self.then = then
        self.let_go = asyncio.Event()

    def wants(self, statement: str) -> bool:
        """Whether it catches this one; it has then, and wants one less."""
        if statement not in self.statements or not self._left:
            return False
        self._left -= 1
        return True

    def disarm(self) -> None:
        self._left = 0


class Proxy:
    """One port of this machine that stands for the database. `target` says where that is for each new connection: a socket's path."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Callable[[], str]) -> None:
        self.port = 0
        self.accepted = 0
        self._target = target
        self._loop = loop
        self._links: set[_Link] = set()
        self._traps: list[Trap] = []
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.is_refusing = False
        self.delay_seconds = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def pass_on(self) -> None:
        """Do nothing but pass on, from now on; what stood still moves again."""
        self._order(self._pass_on)

    def black_hole(self) -> None:
        """Pass nothing on in either direction and close nothing: as a cable that was pulled out."""
        self._order(self.up.clear, self.down.clear)

    def black_hole_answers(self) -> None:
        """Statements reach the server, its answers reach nobody."""
        self._order(self.down.clear)

    def reset(self) -> None:
        """End every connection with a RST; new ones work."""
        self._order(lambda: [link.cut() for link in list(self._links)])

    def refuse(self) -> None:
        """End every connection, and every new one at once."""
        self._order(lambda: setattr(self, "is_refusing", True), lambda: [link.cut() for link in list(self._links)])

    def delay(self, seconds: float) -> None:
        """Pass everything on that much later, give or take a half."""
        self._order(lambda: setattr(self, "delay_seconds", seconds))

    def repoint(self, target: Callable[[], str]) -> None:
        """Lead new connections elsewhere, as a failover does."""
        self._order(lambda: setattr(self, "_target", target))

    def trap(self, *statements: str, at: At, then: Then = Then.CUT, count: int = 1) -> Trap:
        """Catch the next `count` executions of any of these."""
        trap = Trap(set(statements), at=at, then=then, count=count)
        self._order(lambda: self._traps.append(trap))
        return trap

    def let_go(self, trap: Trap) -> None:
        """Let what a trap holds go on."""
        self._order(trap.let_go.set)

    def _pass_on(self) -> None:
        self.is_refusing, self.delay_seconds = False, 0.0
        for trap in self._traps:
            trap.disarm()
            trap.let_go.set()
        self._traps.clear()
        self.up.set()
        self.down.set()

    def _order(self, *acts: Callable[[], object]) -> None:
        async def obey() -> None:
            for act in acts:
                act()

        asyncio.run_coroutine_threadsafe(obey(), self._loop).result(10)

    def caught_by(self, statement: str) -> Trap | None:
        return next((trap for trap in self._traps if trap.wants(statement)), None)

    async def listen(self) -> asyncio.Server:
        self._pass_on()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, reader, writer)
        if self.is_refusing:
            link.cut()
            return
        self._links.add(link)
        try:
            await link.run(self._target)
        finally:
            self._links.discard(link)


class _Link:
    """One connection of a client and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client, self._to_client = reader, writer
        self._to_server: asyncio.StreamWriter | None = None
        self._frontend, self._backend = Frontend(), Backend()
        self._withheld: bytearray | None = None  # answers a trap keeps back
        self._answered = asyncio.Condition()

    def cut(self) -> None:
        """RST to the client. The server gets an ordinary end, after what it was sent before."""
        with suppress(OSError):
            self._to_client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._to_client.transport.abort()
        if self._to_server is not None:
            self._to_server.close()

    async def run(self, target: Callable[[], str]) -> None:
        with suppress(OSError):
            await self._proxy.up.wait()
            server, self._to_server = await asyncio.open_unix_connection(target())
            tasks = [asyncio.create_task(self._pass_up(self._to_server)), asyncio.create_task(self._pass_down(server))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        self._to_client.transport.abort()
        if self._to_server is not None:
            self._to_server.close()

    async def _pass_up(self, to_server: asyncio.StreamWriter) -> None:
        while received := await self._client.read(_READ_BYTES):
            await self._linger(self._proxy.up)
            for message, statement in self._frontend.feed(received):
                trap = self._proxy.caught_by(statement) if statement else None
                if trap:
                    await self._spring(trap, message, str(statement), to_server)
                else:
                    to_server.write(message)
            await to_server.drain()

    async def _pass_down(self, server: asyncio.StreamReader) -> None:
        while received := await server.read(_READ_BYTES):
            async with self._answered:
                self._backend.feed(received)
                self._answered.notify_all()
            if self._withheld is not None:
                self._withheld += received
                continue
            await self._linger(self._proxy.down)
            self._to_client.write(received)
            await self._to_client.drain()

    async def _linger(self, flow: asyncio.Event) -> None:
        if seconds := self._proxy.delay_seconds:
            await asyncio.sleep(seconds * random.uniform(0.5, 1.5))
        await flow.wait()

    async def _spring(self, trap: Trap, message: bytes, statement: str, to_server: asyncio.StreamWriter) -> None:
        if trap.at is not At.BEFORE:
            self._withheld = bytearray()
            await self._send(trap, message, to_server)
        trap.caught.append(statement)
        if trap.then is Then.CUT:
            self.cut()
            return
        await trap.let_go.wait()
        if trap.at is At.BEFORE:
            to_server.write(message)
            return
        withheld, self._withheld = self._withheld, None
        self._to_client.write(bytes(withheld or b""))

    async def _send(self, trap: Trap, message: bytes, to_server: asyncio.StreamWriter) -> None:
        times_ready = self._backend.times_ready
        to_server.write(message)
        await to_server.drain()
        if trap.at is At.ANSWERED:
            async with self._answered:
                await self._answered.wait_for(lambda: self._backend.times_ready > times_ready)


class Proxies:
    """The thread all proxies of a test live in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._open: list[Proxy] = []

    def open(self, target: Callable[[], str]) -> Proxy:
        """A proxy on a port of its own."""
        proxy = Proxy(self._loop, target)
        self._servers.append(self._run(proxy.listen()))
        self._open.append(proxy)
        return proxy

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for proxy in self._open:
            proxy.pass_on()
            proxy.refuse()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # transports say goodbye


@contextmanager
def proxies() -> Iterator[Proxies]:
    """A thread for proxies, for the time of the block."""
    started = Proxies()
    started.start()
    try:
        yield started
    finally:
        started.stop()
