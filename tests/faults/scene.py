"""One test's part of the house: users of its own, a history, and the reckoning at the end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from jobhub.domain.users import User
from tests import factories
from tests.acceptance.service import wait_for
from tests.faults import evidence
from tests.faults.checker import Violation, check, executed_twice, timeline
from tests.faults.client import Client
from tests.faults.evidence import Evidence
from tests.faults.figures import Figures, report, show
from tests.faults.history import Answer, Call, History
from tests.faults.residue import find_residue
from tests.faults.topology import Api, Topology
from tests.faults.workload import Workload

SETTLE_SECONDS = 90.0  # three lost workers one after the other, and a backoff
_MARKER = "probe-"


class Scene:
    """What a fault's test works with. `settle` is its last word: everything has to have ended, and nothing may contradict."""

    def __init__(self, house: Topology, name: str) -> None:
        self.house = house
        self.history = History()
        self._clients: list[Client] = []
        self._probes = 0
        with house.postgres.connect() as sql:
            self.owner: User = factories.make_user(sql, f"{name}-{time.monotonic_ns()}@example.org")
            self.admin: User = factories.make_user(sql, f"{name}-{time.monotonic_ns()}@admin.example.org", role="admin")

    def client(self, name: str = "tester", *, api: Api | None = None, user: User | None = None) -> Client:
        client = Client(name, api or self.house.apis[0], user or self.owner, self.history)
        self._clients.append(client)
        return client

    def workload(self, *, clients: int = 3, seed: int = 0) -> Workload:
        return Workload(self.house, self.owner, self.history, clients=clients, seed=seed)

    @contextmanager
    def in_background(self, act: Callable[[Client], Call], *, api: Api, user: User | None = None) -> Iterator["Background"]:
        """A client that calls while the block runs; its answer is there after the block."""
        background = Background(self.client(f"background{len(self._clients)}", api=api, user=user), act)
        background.start()
        yield background
        background.join(60)

    @contextmanager
    def nobody_restarts(self) -> Iterator[None]:
        """Whatever happens in the block, every process lives through it."""
        before = [process.process for process in self.house.processes]
        yield
        ended = [process.name for process in self.house.processes if not process.is_alive()]
        assert not ended, f"{ended} ended"
        assert before == [process.process for process in self.house.processes]

    def work_for(self, seconds: float) -> None:
        """Let the workload go on; it is the fault that needs the time, nothing is waited for."""
        time.sleep(seconds)

    def let_go(self) -> None:
        """From now on jobs of type `faults.held` end."""
        evidence.ledger.gate(self.house.ledger).touch()

    def close(self) -> None:
        for client in self._clients:
            client.__exit__()

    def sql(self, statement: str, values: list[object] | dict[str, object] | None = None) -> list[Any]:
        """Rows, seen by the superuser, past all proxies."""
        return self.house.postgres.execute(statement, values)

    def wait_for_status(self, job_id: UUID, *statuses: str, seconds: float = 40) -> None:
        wait_for(lambda: self.status(job_id) in statuses, seconds=seconds)

    def wait_for_handler(self, job_id: UUID, *, seconds: float = 40) -> None:
        """Until its handler has begun: its worker knows of it, not the database alone."""
        wait_for(lambda: self.entries(job_id), seconds=seconds)

    def wait_for_renewal(self, job_id: UUID) -> None:
        """Until the lease of the worker that runs it has just been renewed."""

        def lease() -> list[Any]:
            return self.sql("SELECT lease_until FROM jobs INNER JOIN workers ON worker_id = workers.id WHERE jobs.id = %s", [job_id])

        last = lease()
        wait_for(lambda: lease() != last, seconds=20)

    def status(self, job_id: UUID) -> str:
        return str(self.sql("SELECT status::text FROM jobs WHERE id = %s", [job_id])[0][0])

    def outcomes(self, job_id: UUID) -> list[str]:
        rows = self.sql("SELECT outcome::text FROM job_attempts WHERE job_id = %s ORDER BY number", [job_id])
        return [str(row[0]) for row in rows]

    def recovery_seconds(self, *, since: float, within: float = 60.0) -> float:
        """From `since` (monotonic) until every API has accepted a job and it has completed: the whole way through the house works."""
        for api in self.house.apis:
            self._probes += 1
            client = self.client(f"probe{self._probes}", api=api)
            job_id = client.submit_surely("faults.quick", f"{_MARKER}{time.monotonic_ns()}", within=within)
            wait_for(lambda client=client, job_id=job_id: _is_completed(client.read(job_id)), seconds=within)
        return time.monotonic() - since

    def restart_seconds(self, job_ids: list[UUID], *, since: float, attempt: int = 2) -> float:
        """From `since` until the last of these jobs had begun its next attempt."""
        last = max(
            entry.at
            for job_id in job_ids
            for entry in self._entries()
            if entry.job_id == job_id and entry.attempt == attempt and entry.phase == "start"
        )
        return last - since

    def _entries(self) -> list[Any]:
        return evidence.ledger.read(self.house.ledger)

    def entries(self, job_id: UUID) -> list[Any]:
        """What the ledger says of a job."""
        return [entry for entry in self._entries() if entry.job_id == job_id]

    def overlaps(self, job_ids: list[UUID]) -> list[UUID]:
        """The jobs of which two attempts were at work at the same time, by the ledger."""
        return [job_id for job_id in job_ids if _overlap(self.entries(job_id))]

    def settle(
        self, fault: str, what: str, *, recovery_seconds: float | None = None, note: str = "", seconds: float = SETTLE_SECONDS
    ) -> Evidence:
        """Wait until all jobs have ended, judge, print the figures; fails if any invariant was violated."""
        wait_for_quietly(self._is_quiet, seconds=seconds)
        found = self._gather()
        violations = check(found)
        self.figures = _figures(fault, what, found, violations, recovery_seconds, note)
        (show if "." in fault else report)(self.figures)  # a round of many is summed up by who runs them
        for violation in violations[:20]:
            print(f"{violation.invariant} {violation.job}: {violation.what}")
            if violation.job:
                print(timeline(found, violation.job))
        assert not violations, f"{len(violations)} violations, the first: {violations[0]}"
        return found

    def _is_quiet(self) -> bool:
        rows = self.sql("SELECT count(*) FROM jobs WHERE status IN ('pending', 'running') AND owner_id = %s", [self.owner.id])
        return rows[0][0] == 0

    def _gather(self) -> Evidence:
        with self.house.postgres.connect() as sql:
            return evidence.gather(
                sql, self.owner.id, calls=self.history.calls, ledger_path=self.house.ledger, residue=find_residue(self.house)
            )


class Background(threading.Thread):
    """A call that waits for its answer in a thread."""

    def __init__(self, client: Client, act: Callable[[Client], Call]) -> None:
        super().__init__(name=client.name, daemon=True)
        self.call: Call
        self._client = client
        self._act = act

    def run(self) -> None:
        self.call = self._act(self._client)


def _overlap(entries: list[Any]) -> bool:
    ends = {entry.attempt: entry.at for entry in entries if entry.phase != "start"}
    starts = {entry.attempt: entry.at for entry in entries if entry.phase == "start"}
    return any(attempt + 1 in starts and starts[attempt + 1] < ends.get(attempt, float("inf")) for attempt in starts)


def _is_completed(call: Call) -> bool:
    return call.seen is not None and call.seen.status == "completed"


def wait_for_quietly(look: Callable[[], bool], *, seconds: float) -> None:
    """As `wait_for`, but time that is up is the checker's to judge: it says what is wrong."""
    deadline = time.monotonic() + seconds
    while not look() and time.monotonic() < deadline:
        time.sleep(0.1)


def _figures(fault: str, what: str, found: Evidence, violations: list[Violation], recovery_seconds: float | None, note: str) -> Figures:
    return Figures(
        fault=fault,
        what=what,
        jobs=len(found.jobs),
        calls=len(found.calls),
        unknown=sum(call.answer is Answer.UNKNOWN for call in found.calls),
        lost=sum(violation.invariant == "I1" for violation in violations),
        accepted_twice=sum(violation.invariant in ("I4", "I6", "I8") for violation in violations),
        executed_twice=executed_twice(found),
        recovery_seconds=recovery_seconds,
        violations=len(violations),
        note=note,
    )
