"""The state machine: random sequences of verbs on a real database, alone and at once, each step compared with the model.

Read a failure from the bottom up: Hypothesis prints the shortest program it found, one line per step. Not here: what verbs do
(`users`, `workers`), what may be drawn (`choices`), what must hold (`invariants`, `snapshot`).
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from jobhub.domain.jobs import JobStatus, Verb
from tests.model import choices
from tests.model.connections import Connections
from tests.model.invariants import Happened, History
from tests.model.operations import Operation
from tests.model.snapshot import assert_equal, learn_delivery_numbers
from tests.model.state import LEASE_SECONDS, Model, Seen
from tests.model.users import OWNERS, CleanUp, DisableOwner, ForceComplete, Pin, Retry
from tests.model.workers import QUEUES, Claim, Ending, Finish, ForgetClaims, Leave, Promote, Renew, Rescue

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
WORKERS = tuple(UUID(int=number) for number in (0x51, 0x52, 0x53))
# Enough for them to get in each other's way, few enough to read.
MOST_JOBS = 6
# A wait, the time after which an unknown job type fails, and more than a day: in full minutes, by which clean-ups are counted.
CLOCK_STEPS = (120, 3720, 90_000)
# More rounds than any mix of lost workers, backoffs and jobs put back can take.
MOST_ROUNDS = 30


def drawn(choose: Callable[[Model], st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """What `choose` offers in the machine's present state."""
    return st.runner().flatmap(lambda machine: choose(machine.model))


def some_job(*statuses: JobStatus) -> Callable[[Any], bool]:
    return lambda machine: bool(machine.model.with_status(*statuses or JobStatus))


class JobMachine(RuleBasedStateMachine):
    """Jobs of two owners, three workers, two queues, two job types of which one is not known to every worker."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections
        self._connections.empty()
        self.model = Model()
        self._history = History()
        self._snapshot = connections.look()
        self._is_sound = True

    @initialize(first=drawn(choices.submit), second=drawn(lambda model: choices.submit(model, number=1)), slots=st.integers(0, 2))
    def start(self, first: Operation, second: Operation, slots: int) -> None:
        claim = Claim(WORKERS[0], QUEUES, (choices.KNOWN,), slots)
        for operation in (Renew(WORKERS[0]), Renew(WORKERS[1]), first, second, claim):
            self._perform(operation)

    # What users do.

    @precondition(lambda machine: len(machine.model.jobs) < MOST_JOBS)
    @rule(operation=drawn(choices.submit))
    def submit(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(lambda machine: len(machine.model.jobs) < MOST_JOBS)
    @rule(operation=drawn(lambda model: choices.submit(model, later=True)))
    def submit_for_later(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(lambda machine: len(machine.model.jobs) < MOST_JOBS)
    @rule(operation=drawn(lambda model: choices.submit(model, key="key")))
    def submit_same_key(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(some_job())
    @rule(operation=drawn(lambda model: choices.cancel(model, sorted(model.jobs))))
    def cancel(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(some_job(FAILED, CANCELLED))
    @rule(job_id=drawn(lambda model: st.sampled_from(sorted(model.jobs))))
    def retry(self, job_id: UUID) -> None:
        self._perform(Retry(job_id))

    @precondition(some_job())
    @rule(job_id=drawn(lambda model: st.sampled_from(sorted(model.jobs))))
    def force_complete(self, job_id: UUID) -> None:
        self._perform(ForceComplete(job_id))

    @precondition(some_job(PENDING))
    @rule(owner_id=st.sampled_from(OWNERS))
    def disable_owner(self, owner_id: UUID) -> None:
        self._perform(DisableOwner(owner_id))

    @precondition(lambda machine: machine.model.jobs)
    @rule(job_id=drawn(lambda model: st.sampled_from(sorted(model.jobs))))
    def pin(self, job_id: UUID) -> None:
        self._perform(Pin(job_id))

    @precondition(some_job(COMPLETED, FAILED, CANCELLED))
    @rule(is_old=st.booleans())
    def clean_up(self, is_old: bool) -> None:
        if is_old:
            self._move_clock(CLOCK_STEPS[-1])
        self._perform(CleanUp())

    # What workers do.

    @precondition(lambda machine: machine.model.waiting())
    @rule()
    def promote(self) -> None:
        self._perform(Promote())

    @precondition(lambda machine: machine.model.leases)
    @rule(operation=drawn(choices.claim))
    def claim(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(some_job(RUNNING))
    @rule(reports=drawn(choices.reports))
    def progress(self, reports: list[Operation]) -> None:
        for report in reports:
            self._perform(report)

    @precondition(some_job(RUNNING))
    @rule(operation=drawn(lambda model: choices.finish(choices.running_attempts(model, sorted(model.jobs)))))
    def finish(self, operation: Operation) -> None:
        self._perform(operation)

    @precondition(lambda machine: any(job.attempts for job in machine.model.jobs.values()))
    @rule(operation=drawn(lambda model: choices.zombie_finish(model)))
    def zombie_finish(self, operation: Operation) -> None:
        """Perhaps in one batch with outcomes that count."""
        self._perform(operation)

    @precondition(some_job(RUNNING))
    @rule()
    def rescue(self) -> None:
        self._perform(Rescue())

    @precondition(some_job(RUNNING))
    @rule(times=st.integers(1, 3), job_id=drawn(lambda model: st.sampled_from(model.with_status(RUNNING))))
    def lose_workers(self, times: int, job_id: UUID) -> None:
        """Whoever takes the job is lost, again and again, and comes back with an outcome when the next one runs it."""
        for _ in range(times):
            worker_id, attempt = self.model.jobs[job_id].worker_id, self.model.jobs[job_id].attempt
            if worker_id in self.model.leases:
                self.crash(worker_id)
            late = Finish((Ending(job_id, attempt, Verb.COMPLETE, COMPLETED),))
            for operation in (Rescue(), Renew(WORKERS[0]), self._claim_all(), late):
                self._perform(operation)

    @precondition(lambda machine: not all(machine.model.has_lease(worker_id) for worker_id in WORKERS[:2]))
    @rule(worker_id=st.sampled_from(WORKERS))
    def renew(self, worker_id: UUID) -> None:
        self._perform(Renew(worker_id))

    @precondition(lambda machine: machine.model.leases)
    @rule(worker_id=drawn(lambda model: st.sampled_from(sorted(model.leases))))
    def crash(self, worker_id: UUID) -> None:
        """A worker died, and its lease is over; its jobs still run, says the database."""
        self._move_lease(worker_id, -1)
        self._compare([])

    @precondition(lambda machine: machine.model.leases)
    @rule(worker_id=drawn(lambda model: st.sampled_from(sorted(model.leases))))
    def leave(self, worker_id: UUID) -> None:
        self._perform(Leave(worker_id))

    @rule(worker_id=st.sampled_from(WORKERS))
    def forget_claims(self, worker_id: UUID) -> None:
        self._perform(ForgetClaims(worker_id))

    # What happens.

    @rule(seconds=st.sampled_from(CLOCK_STEPS))
    def clock_forward(self, seconds: int) -> None:
        self._move_clock(seconds)

    @precondition(some_job())
    @rule(job_id=drawn(choices.job_to_deliver_again), is_taken=st.booleans())
    def repeated_delivery(self, job_id: UUID, is_taken: bool) -> None:
        self._connections.deliver_again(job_id)
        self.model.deliver(job_id)
        self._compare([])
        if is_taken:
            self._perform(self._claim_all())

    @precondition(some_job())
    @rule(what=drawn(choices.at_once))
    def at_once(self, what: tuple[list[Operation], list[bool]]) -> None:
        """Two or three statements, of which all but the last have not committed when the next one starts."""
        operations, commits = what
        self._is_sound = False
        answers = self._connections.at_once(operations, commits)
        seen, happened = Seen(self.model), []
        for operation, answer, is_committed in zip(operations, answers, [*commits, True], strict=False):
            after = self.model.copy()
            self._assert_answer(operation, answer, operation.apply(after, seen))
            seen = seen.and_held(operation.holds(self.model, after))
            if is_committed:
                self.model = after
                happened.append((operation, answer))
        self._compare(happened)

    @precondition(some_job(RUNNING))
    @rule(what=drawn(lambda model: choices.at_once_for(model, model.with_status(RUNNING))))
    def at_once_while_running(self, what: tuple[list[Operation], list[bool]]) -> None:
        self.at_once(what)

    @precondition(some_job(RUNNING))
    @rule(what=drawn(choices.stop_and_end))
    def at_once_at_the_end(self, what: tuple[list[Operation], list[bool]]) -> None:
        self.at_once(what)

    @precondition(lambda machine: machine.model.waiting())
    @rule(what=drawn(lambda model: choices.at_once_for(model, model.waiting())))
    def at_once_when_due(self, what: tuple[list[Operation], list[bool]]) -> None:
        """Of a job that waits, once it need not any more."""
        self._move_clock(2 * CLOCK_STEPS[0])
        self.at_once(what)

    @precondition(some_job(PENDING))
    @rule(what=drawn(lambda model: choices.at_once_for(model, model.with_status(PENDING))))
    def at_once_while_pending(self, what: tuple[list[Operation], list[bool]]) -> None:
        self.at_once(what)

    @precondition(some_job(FAILED, CANCELLED))
    @rule(what=drawn(lambda model: choices.at_once_for(model, model.with_status(FAILED, CANCELLED))))
    def at_once_after_the_end(self, what: tuple[list[Operation], list[bool]]) -> None:
        self.at_once(what)

    # How it is done and looked at.

    def _perform(self, operation: Operation) -> None:
        self._is_sound = False
        answer = self._connections.run(operation)
        self._assert_answer(operation, answer, operation.apply(self.model, Seen(self.model.copy())))
        if isinstance(operation, Renew):
            self._move_lease(operation.worker_id, LEASE_SECONDS)
        self._compare([(operation, answer)])

    def _assert_answer(self, operation: Operation, answer: Any, expected: Any) -> None:
        assert answer == expected, f"{operation} answered {answer}, not {expected}"

    def _move_lease(self, worker_id: UUID, seconds_from_now: int) -> None:
        self._connections.move_lease(worker_id, seconds_from_now=seconds_from_now)
        self.model.leases[worker_id] = self.model.now + seconds_from_now

    def _move_clock(self, seconds: int) -> None:
        self._is_sound = False
        self._connections.move_clock(seconds)
        self.model.now += seconds
        self._snapshot = self._connections.look()  # all times differ now, and that is nobody's doing
        self._compare([])

    def _compare(self, happened: Happened) -> None:
        """Read the database again; compare it with the model, and with what it was before."""
        before, self._snapshot = self._snapshot, self._connections.look()
        learn_delivery_numbers(self.model, self._snapshot)
        self._history.check(before, self._snapshot, happened)
        assert_equal(self.model, self._snapshot)
        self._is_sound = True

    def teardown(self) -> None:
        """No job is stuck: with one worker that does its work and never dies, all of them finish."""
        if not self._is_sound:
            return
        rounds = 0
        while self.model.deliveries or self.model.with_status(PENDING, RUNNING):
            assert rounds < MOST_ROUNDS, "a job never finishes, or a delivery is never taken"
            self._work()
            rounds += 1

    def _work(self) -> None:
        self._move_clock(CLOCK_STEPS[1])
        for operation in (Renew(WORKERS[0]), Rescue(), Promote(), self._claim_all()):
            self._perform(operation)
        endings = [Ending(*which, Verb.COMPLETE, COMPLETED) for which in choices.running_attempts(self.model, sorted(self.model.jobs))]
        self._perform(Finish(tuple(endings)))

    def _claim_all(self) -> Claim:
        return Claim(WORKERS[0], QUEUES, (choices.KNOWN, choices.UNKNOWN), 100)
