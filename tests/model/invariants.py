"""What must hold whatever the model believes: DESIGN's table of verbs and its promises, read off the rows alone.

It shares nothing with the model but the answers of the statements, so that a mistake made in both doesn't pass.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import asyncpg

from jobhub.contract.jobs import JobView
from jobhub.domain.jobs import FINISHED, JobStatus, Verb
from jobhub.domain.lifecycle import ALLOWED_FROM
from tests.model.operations import Operation
from tests.model.snapshot import Snapshot
from tests.model.state import Delivery
from tests.model.users import Cancel, CleanUp, DisableOwner, ForceComplete, Pin, Retry, Submit
from tests.model.workers import Finish, Rescue

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
Happened = list[tuple[Operation, Any]]
MICROSECOND = timedelta(microseconds=1)

# Where each verb leads, docs/job-lifecycle.md. A cancel leads from running to cancelled in two steps, the second one the worker's.
LEADS_TO: dict[Verb, set[JobStatus]] = {
    Verb.START: {RUNNING},
    Verb.PROGRESS: {RUNNING},
    Verb.COMPLETE: {COMPLETED},
    Verb.FAIL: {PENDING, FAILED, CANCELLED},
    Verb.CANCEL: {RUNNING, CANCELLED},
    Verb.RETRY: {PENDING},
    Verb.FORCE_COMPLETE: {COMPLETED},
    Verb.RELEASE: {PENDING, CANCELLED},
    Verb.RESCUE: {PENDING, FAILED, CANCELLED},
}
EDGES = {verb: {(old, new) for old in ALLOWED_FROM[verb] for new in targets} for verb, targets in LEADS_TO.items()}
EDGES[Verb.CANCEL] -= {(PENDING, RUNNING), (CANCELLED, RUNNING)}
EDGES[Verb.SUBMIT] = {(None, PENDING)}
EDGES[Verb.CLEAN_UP] = {(status, None) for status in ALLOWED_FROM[Verb.CLEAN_UP]}

# Every change of these is a new version. The place in the queue is worked out when it is read, and has none.
CLIENT_SEES = set(JobView.__struct_fields__) - {"queue", "version", "updated_at"}


class History:
    """What was answered so far, by job and attempt."""

    def __init__(self) -> None:
        self._acknowledged: set[UUID] = set()
        self._ended: set[tuple[UUID, int]] = set()
        self._final: dict[UUID, list[Verb]] = defaultdict(list)
        self._acts: Counter[tuple[UUID, str]] = Counter()
        self._cleaned_up: Counter[Any] = Counter()

    def check(self, before: Snapshot, after: Snapshot, happened: Happened) -> None:
        """Everything, after one step. `happened` has what was committed, in that order."""
        for place, (operation, answer) in enumerate(happened):
            self._take_down(after, operation, answer, later=happened[place + 1 :])
        self._acknowledged -= {job_id for job_id in before.jobs.keys() - after.jobs.keys() if _was_cleaned_up(before, job_id, happened)}
        assert self._acknowledged <= after.jobs.keys(), "an acknowledged job is lost"
        check_transitions(before, after, happened)
        check_starts(before, after)
        check_rows(after)
        self._check_attempts(after)
        self._cleaned_up += figures(before, before.jobs.keys() - after.jobs.keys())
        check_statistics(after, self._cleaned_up)
        assert after.acts == self._acts, "the audit log and what was answered differ"

    def _take_down(self, after: Snapshot, operation: Operation, answer: Any, *, later: Happened) -> None:
        match operation:
            case Submit(job_id=job_id) if answer:
                self._acknowledged.add(job_id)
            case Cancel(job_id=job_id) if answer:
                self._acts[job_id, "cancel"] += 1
                self._finish(job_id, Verb.CANCEL, answer)
            case DisableOwner(owner_id=owner_id):
                self._take_down_disabled(after, owner_id, answer, later)
            case Retry(job_id=job_id) if answer:
                self._acts[job_id, "retry"] += 1
                self._final[job_id].clear()
            case ForceComplete(job_id=job_id) if answer:
                self._acts[job_id, "force_complete"] += 1
                self._finish(job_id, Verb.FORCE_COMPLETE, answer)
            case Pin(job_id=job_id) if answer:
                self._acts[job_id, "pin"] += 1
            case CleanUp() if answer:
                self._acts[None, "clean_up"] += 1
            case Finish() | Rescue():
                for job_id, attempt, status in answer:
                    self._end(job_id, attempt)
                    self._finish(job_id, Verb.COMPLETE, status)

    def _take_down_disabled(self, after: Snapshot, owner_id: UUID, cancelled: int, later: Happened) -> None:
        """It answers how many; which ones, the audit log says, where no other cancel accounts for it."""
        owned = [job_id for job_id, row in after.jobs.items() if row["owner_id"] == owner_id]
        known = self._acts + Counter((one.job_id, "cancel") for one, answer in later if isinstance(one, Cancel) and answer)
        fresh = [job_id for job_id in owned if after.acts[job_id, "cancel"] > known[job_id, "cancel"]]
        assert len(fresh) == cancelled, "not every job it cancelled is in the audit log"
        for job_id in fresh:
            self._acts[job_id, "cancel"] += 1
            self._finish(job_id, Verb.CANCEL, CANCELLED)

    def _end(self, job_id: UUID, attempt: int) -> None:
        assert (job_id, attempt) not in self._ended, f"two outcomes of attempt {attempt} of {job_id} were accepted"
        self._ended.add((job_id, attempt))

    def _finish(self, job_id: UUID, verb: Verb, status: JobStatus) -> None:
        if status not in FINISHED:
            return
        assert verb is Verb.FORCE_COMPLETE or not self._final[job_id], f"{job_id} finished twice in one round"
        self._final[job_id].append(verb)

    def _check_attempts(self, after: Snapshot) -> None:
        """Attempts are 1..n without a gap, the running one not yet on record, and each was accepted or superseded."""
        for job_id, row in after.jobs.items():
            recorded = after.attempts.get(job_id, [])
            ended = row["attempt"] - (row["status"] == RUNNING)
            assert [one["number"] for one in recorded] == list(range(1, ended + 1)), f"attempts of {job_id}"
            accepted = {number for job, number in self._ended if job == job_id}
            superseded = {one["number"] for one in recorded if one["outcome"] == "superseded"}
            assert accepted | superseded == set(range(1, ended + 1)), f"an attempt of {job_id} ended and nobody was told"
            assert not accepted & superseded


def _was_cleaned_up(before: Snapshot, job_id: UUID, happened: Happened) -> bool:
    is_old = (
        before.jobs[job_id]["status"] in {COMPLETED, CANCELLED} and before.seconds_from_now(before.jobs[job_id]["completed_at"]) < -80_000
    )
    return is_old and before.jobs[job_id]["pinned_at"] is None and any(isinstance(operation, CleanUp) for operation, _ in happened)


def check_transitions(before: Snapshot, after: Snapshot, happened: Happened) -> None:
    """Each job went along the table, by the verbs that were used; its version grew if a client can see that."""
    for job_id in before.jobs.keys() | after.jobs.keys():
        old, new = before.jobs.get(job_id), after.jobs.get(job_id)
        verbs = [operation.verbs_on(job_id) for operation, _ in happened]
        assert _status(new) in _reachable(_status(old), verbs), f"{job_id} went from {_status(old)} to {_status(new)} by {verbs}"
        if old and new:
            _check_version(old, new, at_most=len(happened))


def _status(row: asyncpg.Record | None) -> JobStatus | None:
    return JobStatus(row["status"]) if row else None


def _reachable(status: JobStatus | None, verbs: list[frozenset[Verb]]) -> set[JobStatus | None]:
    """Where some of the operations, in any order, may lead."""
    reached = {status}
    for order in permutations(verbs):
        here = {status}
        for some in order:
            here |= {new for verb in some for old, new in EDGES[verb] if old in here}
        reached |= here
    return reached


def _check_version(old: asyncpg.Record, new: asyncpg.Record, *, at_most: int) -> None:
    changed = {name for name in CLIENT_SEES if old[name] != new[name]}
    grown = new["version"] - old["version"]
    assert (grown > 0) == bool(changed), f"version of {old['id']} grew by {grown}, changed: {changed}"
    assert 0 <= grown <= at_most
    assert (old["updated_at"] != new["updated_at"]) == bool(changed)


def check_starts(before: Snapshot, after: Snapshot) -> None:
    """No job started but a pending one, by the one delivery it pointed to."""
    for job_id, new in after.jobs.items():
        old = before.jobs.get(job_id)
        if new["attempt"] == (old["attempt"] if old else 0):
            continue
        assert old, f"{job_id} started before it was committed"
        delivery = before.deliveries.get(old["delivery_id"])
        assert old["status"] == PENDING, f"{job_id} was {old['status']} and started"
        assert delivery, f"{job_id} started without a delivery"
        assert delivery.job_id == job_id, f"{job_id} started without its delivery"
        assert new["attempt"] == old["attempt"] + 1, f"{job_id} started more than once"
        assert old["delivery_id"] not in after.deliveries, "a delivery was served and is still there"


def check_rows(after: Snapshot) -> None:
    """What the CHECKs of the schema say, and what no CHECK can see: a pending job that nobody will ever deliver."""
    for job_id, row in after.jobs.items():
        delivery = after.deliveries.get(row["delivery_id"])
        if row["status"] == PENDING:
            assert (delivery is None) != (row["deliver_at"] is None), f"{job_id} is lost: no delivery, and no time for one"
            if delivery:
                assert delivery == Delivery(job_id, row["queue"], row["priority"]), f"{job_id} has a delivery that is not its own"
        else:
            assert (row["delivery_id"], row["deliver_at"]) == (None, None)
        assert row["status"] != RUNNING or (row["worker_id"], job_id) in after.claims, f"{job_id} runs and no rescue would find it"
        assert (row["status"] in FINISHED) == (row["completed_at"] is not None)
        assert row["status"] != RUNNING or (row["worker_id"] and row["started_at"])
        assert 0 <= row["progress_percentage"] <= 100
    live = _duplicates(row["delivery_id"] for row in after.jobs.values() if row["delivery_id"])
    assert not live, f"one delivery for several jobs: {live}"


def check_statistics(after: Snapshot, cleaned_up: Counter[Any]) -> None:
    """What was counted is what stands in the tables, and what stood there before it was cleaned up."""
    counted: Counter[Any] = Counter()
    for change in after.stat_changes:
        counted[change["job_type"], change["status"], change["error_code"]] += change["jobs"]
        counted[change["job_type"], "attempt", change["outcome"]] += change["attempts"]
        counted[change["job_type"], "waiting"] += change["waiting_microseconds"]
        counted[change["job_type"], "processing"] += change["processing_microseconds"]
    expected = figures(after, after.jobs) + cleaned_up
    assert {key: figure for key, figure in counted.items() if figure} == {key: figure for key, figure in expected.items() if figure}


def figures(snapshot: Snapshot, job_ids: Iterable[UUID]) -> Counter[Any]:
    """Finished jobs and ended attempts by type, and the times of the attempts in microseconds."""
    found: Counter[Any] = Counter()
    for job_id in job_ids:
        job = snapshot.jobs[job_id]
        if job["status"] in FINISHED:
            found[job["job_type"], job["status"], job["error_code"] if job["status"] == FAILED else None] += 1
        for attempt in snapshot.attempts.get(job_id, []):
            found[job["job_type"], "attempt", attempt["outcome"]] += 1
            if attempt["outcome"] in ("completed", "failed"):
                found[job["job_type"], "waiting"] += max(timedelta(), attempt["started_at"] - attempt["due_at"]) // MICROSECOND
                found[job["job_type"], "processing"] += max(timedelta(), attempt["ended_at"] - attempt["started_at"]) // MICROSECOND
    return found


def _duplicates(numbers: Iterable[int]) -> list[int]:
    return [number for number, times in Counter(numbers).items() if times > 1]
