"""What all verbs of the machine have in common. Not here: the verbs themselves (`users`, `workers`)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from jobhub.domain.jobs import Verb
from tests.model.session import Session
from tests.model.state import Job, Model, Seen, held_by_change


@dataclass(frozen=True)
class Operation:
    """One statement, run through `jobhub.store`, and what the model says it does and answers."""

    VERBS: ClassVar[frozenset[Verb]] = frozenset()

    async def run(self, session: Session) -> Any:
        """Run it; the answer in the form `apply` predicts."""
        raise NotImplementedError

    def apply(self, model: Model, seen: Seen) -> Any:
        """Change the model as the statement should change the database; the answer it should give."""
        raise NotImplementedError

    def holds(self, before: Model, after: Model) -> Seen:
        """What its transaction holds while it is open."""
        return held_by_change(before, after)

    def verbs_on(self, job_id: UUID) -> frozenset[Verb]:
        """What this may do to one job."""
        return self.VERBS


@dataclass(frozen=True)
class HoldDeliveries(Operation):
    """Lock all deliveries, as a claim does that has not come to their jobs yet."""

    async def run(self, session: Session) -> None:
        await session._connection.execute("SELECT FROM procrastinate_jobs FOR UPDATE")

    def apply(self, model: Model, seen: Seen) -> None:
        pass

    def holds(self, before: Model, after: Model) -> Seen:
        return Seen(before, held_deliveries=frozenset(before.deliveries))


def qualifies(model: Model, seen: Seen, job_id: UUID, guard: Callable[[Job], bool]) -> bool:
    """Whether the guard of a statement lets a job through: in the statement's snapshot, and again after waiting for its row."""
    return all(job_id in view.jobs and guard(view.jobs[job_id]) for view in (seen.before, model))


def withdraw(model: Model, seen: Seen, job_id: UUID) -> None:
    """Delete a job's delivery as cancel and force-complete do: unless somebody holds it or the snapshot doesn't show it.

    Whoever holds the job too is gone by then: the statement has waited for the job.
    """
    number = model.jobs[job_id].delivery
    if number in seen.before.deliveries and (number not in seen.held_deliveries or job_id in seen.held_jobs):
        model.deliveries.pop(number, None)
