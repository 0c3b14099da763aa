"""The faults, as functions that do them. Those that last are context managers that undo them; Topology.heal undoes all.

Not here: what must hold meanwhile and afterwards (the tests, `checker`).
"""

import random
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.faults.proxy import At, Trap
from tests.faults.topology import DATABASE, ROLE, Process, Topology

# What a client or a worker changes: each is one statement, and commits with it.
WRITES = (
    "submit_jobs",
    "cancel_job",
    "retry_job",
    "force_complete_job",
    "claim_jobs",
    "finish_jobs",
    "promote_jobs",
    "report_progress",
    "rescue_jobs",
    "renew_lease",
)


def kill(processes: Iterable[Process]) -> None:
    """SIGKILL, and start each again at once, as a supervisor does."""
    for process in processes:
        process.kill()
        process.start()


def stop(process: Process) -> None:
    """SIGTERM, and start it again once it is gone, as a deployment does."""
    process.signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:  # it stands still
        process.kill()
    process.start()


@contextmanager
def paused(process: Process) -> Iterator[None]:
    """A process that stands still and thinks nothing of it afterwards: a zombie."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if process.is_alive():
            process.signal(signal.SIGCONT)


def restart_postgres(house: Topology, number: signal.Signals, *, away_seconds: float = 0.0) -> float:
    """Stop the server with this signal and start it again; when it took connections again, by the monotonic clock."""
    house.postgres.stop(number)
    time.sleep(away_seconds)
    house.postgres.start()
    return time.monotonic()


def kill_postgres(house: Topology) -> float:
    """SIGKILL to the postmaster alone: its backends find out by themselves, and the next start recovers from the log."""
    return restart_postgres(house, signal.SIGKILL)


def terminate_backends(house: Topology, *, share: float) -> int:
    """End some of the connections, chosen by the server; how many."""
    statement = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{ROLE}' AND random() < %s"
    return int(str(house.postgres.execute(statement, [share])[0][0]))


def crash_a_backend(house: Topology) -> None:
    """SIGKILL to one backend: the server ends all others and recovers."""
    rows = house.postgres.execute(f"SELECT pid FROM pg_stat_activity WHERE usename = '{ROLE}' ORDER BY backend_start DESC LIMIT 1")
    if rows:
        house.postgres.kill_backend(int(str(rows[0][0])))


@contextmanager
def black_hole(processes: Iterable[Process]) -> Iterator[None]:
    """Nothing reaches the database any more, and nobody is told."""
    held = list(processes)
    for process in held:
        process.proxy.black_hole()
    try:
        yield
    finally:
        for process in held:
            process.proxy.pass_on()


@contextmanager
def answers_lost(process: Process) -> Iterator[None]:
    """Half a black hole: the database hears, and is not heard."""
    process.proxy.black_hole_answers()
    try:
        yield
    finally:
        process.proxy.pass_on()


@contextmanager
def slow(processes: Iterable[Process], seconds: float) -> Iterator[None]:
    """Each message takes that much longer, in both directions."""
    slowed = list(processes)
    for process in slowed:
        process.proxy.delay(seconds)
    try:
        yield
    finally:
        for process in slowed:
            process.proxy.delay(0)


def reset_storm(processes: Iterable[Process], *, seconds: float, every: float = 0.2) -> None:
    """RST to every connection, again and again."""
    held = list(processes)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in held:
            process.proxy.reset()
        time.sleep(every)


@contextmanager
def read_only(house: Topology) -> Iterator[None]:
    """The database takes no writes: half of a failover."""
    _alter(house, "SET default_transaction_read_only = on")
    try:
        yield
    finally:
        _alter(house, "RESET default_transaction_read_only")


@contextmanager
def few_connections(house: Topology, limit: int) -> Iterator[None]:
    """The role may have only so many connections: what others have taken is gone."""
    house.postgres.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {limit}")
    terminate_backends(house, share=1.0)
    try:
        yield
    finally:
        house.postgres.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


def _alter(house: Topology, what: str) -> None:
    """A setting of the database counts from the next connection on, so the present ones end."""
    house.postgres.execute(f"ALTER DATABASE {DATABASE} {what}")
    terminate_backends(house, share=1.0)


def cut_commits(processes: Iterable[Process], *, at: At, count: int = 1, statements: Iterable[str] = WRITES) -> list[tuple[Process, Trap]]:
    """At each process, cut the connection that next runs each of these statements, so that nobody knows whether it committed."""
    return [(process, process.proxy.trap(statement, at=at, count=count)) for process in processes for statement in statements]


def some(chance: random.Random, processes: list[Process]) -> list[Process]:
    """At least one of them."""
    return chance.sample(processes, chance.randint(1, len(processes)))
