"""What was measured on: the machine and the versions of everything, for the head of a report."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import psycopg

from bench.peers.everyone import PEERS
from bench.server import Server

PACKAGES = ("asyncpg", "uvloop", "uvicorn", "litestar", "msgspec")
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "wal_buffers", "max_wal_size")


def describe(server: Server) -> str:
    """A Markdown list."""
    with psycopg.connect(server.dsn) as connection:
        postgres = connection.execute("SHOW server_version").fetchone()
        settings = ", ".join(f"{name} {connection.execute(f'SHOW {name}').fetchone()[0]}" for name in SETTINGS)
    peers = ", ".join(f"{peer.NAME} {peer.version()}" if peer.missing() is None else f"{peer.NAME} missing" for peer in PEERS)
    lines = (
        f"{os.cpu_count()} cores ({_cpu_model()}), {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}; load average at "
        f"the start {os.getloadavg()[0]:.2f}",
        f"PostgreSQL {postgres[0] if postgres else '?'} on the same machine: {settings}, the rest as it comes",
        f"Python {platform.python_version()}, " + ", ".join(f"{package} {version(package)}" for package in PACKAGES),
        f"Peers: {peers}; Node.js {_node()}",
        f"Commit {_commit()}",
    )
    return "".join(f"- {line}\n" for line in lines)


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _node() -> str:
    return _output("node", "--version") or "missing"


def _commit() -> str:
    commit = _output("git", "rev-parse", "--short", "HEAD")
    changed = " with changes" if _output("git", "status", "--porcelain") else ""
    return f"{commit}{changed}" if commit else "unknown"


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
