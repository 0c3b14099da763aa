"""Runs the programs of `node/`, whose packages `make bench` installs with npm. Not here: what they do."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from bench.processes import Unmeasured

DIRECTORY = Path(__file__).parent / "node"


def missing(package: str) -> str | None:
    """Why a package can't be used here, or None."""
    if shutil.which("node") is None:
        return "there is no node"
    if not (DIRECTORY / "node_modules" / package).is_dir():
        return "its packages are not installed (`make bench` does that with npm)"
    return None


def version(package: str) -> str:
    return json.loads((DIRECTORY / "node_modules" / package / "package.json").read_text())["version"]


def command(program: str, *arguments: object) -> list[str]:
    return ["node", str(DIRECTORY / program), *map(str, arguments)]


def environ(dsn: str) -> dict[str, str]:
    """What node-postgres reads. It takes no URL with a socket's directory in it."""
    parts = conninfo_to_dict(dsn)
    return {f"PG{name}".upper(): str(parts[part]) for name, part in _PARTS.items()}


_PARTS = {"host": "host", "port": "port", "user": "user", "database": "dbname"}


def run(dsn: str, program: str, *arguments: object) -> None:
    """Run a program to its end.

    Raises:
        Unmeasured: it failed; standard error says how.
    """
    finished = subprocess.run(command(program, *arguments), env=os.environ | environ(dsn), check=False, stdout=subprocess.DEVNULL)
    if finished.returncode:
        raise Unmeasured(f"{program} {arguments[0]} ended with {finished.returncode}")


@asynccontextmanager
async def enqueuer(dsn: str, program: str) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
    """A process that submits the job it is told the number of, by the library's own call."""
    process = await asyncio.create_subprocess_exec(
        *command(program, "submit"), env=os.environ | environ(dsn), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def submit(number: int) -> int:
        stdin.write(b"%d\n" % number)
        return int(await stdout.readline())

    try:
        async with asyncio.timeout(30):
            await stdout.readline()
        yield submit
    finally:
        stdin.close()
        await process.wait()
