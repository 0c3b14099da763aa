"""The invariants I1 to I12: one function each, from evidence to what contradicts it. Nothing here touches a database.

I1 no acknowledged job is lost          I7 attempts are counted without a gap, and no more than allowed
I2 no acknowledged change is undone     I8 one key makes one job; an unknown submit none or one
I3 started at least once                I9 cancel is truthful
I4 one final outcome per round          I10 every client sees legal transitions, forwards
I5 attempts of a job never overlap      I11 nothing is left over
I6 the accepted outcome is the latest   I12 only documented answers, and a 503 rather than silence
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import msgspec

from tests.faults.evidence import Evidence, JobRow
from tests.faults.history import Answer, Call, Seen
from tests.faults.ledger import Phase

FINISHED = ("completed", "failed", "cancelled")
MAX_LOST_ATTEMPTS = 3
# now() is when a statement began, a little before it sees anything.
CLOCK_GRAIN = timedelta(milliseconds=50)
# 3 s are promised. What is more than this is no busy machine, it is a missing deadline.
SLOWEST_FAILURE_SECONDS = 8.0
DOCUMENTED = {200, 201, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503}


class Violation(msgspec.Struct, frozen=True, order=True):
    """What contradicts an invariant. `job` is None where it is not about one."""

    invariant: str
    what: str
    job: UUID | None = None


def check(evidence: Evidence) -> list[Violation]:
    """Everything that contradicts any invariant."""
    return [Violation(name, what, job) for name, invariant in INVARIANTS.items() for job, what in invariant(evidence)]


Found = Iterator[tuple[UUID | None, str]]


def lost_jobs(evidence: Evidence) -> Found:
    rows = {job.id: job for job in evidence.jobs}
    for call in _done(evidence, "submit"):
        assert call.job_id is not None
        row = rows.get(call.job_id)
        if row is None:
            yield call.job_id, "was acknowledged and is not there"
        elif row.status not in FINISHED and not row.is_for_later:
            yield row.id, f"was acknowledged and is still {row.status}"


def undone_changes(evidence: Evidence) -> Found:
    rows = {job.id: job for job in evidence.jobs}
    acknowledged: dict[tuple[UUID, str], int] = defaultdict(int)
    for call in _done(evidence, "cancel", "retry", "force_complete"):
        row = rows.get(call.job_id) if call.job_id else None
        if row is None or call.seen is None:
            continue
        acknowledged[row.id, call.verb] += 1
        if call.verb == "force_complete" and row.status != "completed":
            yield row.id, f"was completed by hand and is {row.status}"
        was_final = call.seen.status == "cancelled" and not evidence.deeds_on(row.id, "retry", "force_complete")
        if call.verb == "cancel" and was_final and row.status != "cancelled":
            yield row.id, f"was cancelled and is {row.status}"
        if call.verb == "retry" and row.attempt <= call.seen.attempt and not evidence.deeds_on(row.id, "cancel", "force_complete"):
            yield row.id, "was retried and never started again"
    for (job_id, verb), count in acknowledged.items():
        # A repeated cancel changes nothing and is no second deed.
        if evidence.deeds_on(job_id, verb) < (1 if verb == "cancel" else count):
            yield job_id, f"{verb} was acknowledged {count} times and is not on record as often"


def never_started(evidence: Evidence) -> Found:
    effects = {(entry.job_id, entry.attempt) for entry in evidence.entries if entry.phase is Phase.EFFECT}
    for job in evidence.jobs:
        if job.status not in FINISHED or evidence.deeds_on(job.id, "cancel", "force_complete"):
            continue
        if job.attempt < 1:
            yield job.id, f"is {job.status} without an attempt"
        elif job.status == "completed" and (job.id, job.attempt) not in effects:
            yield job.id, f"is completed, but attempt {job.attempt} had no effect"


def several_outcomes(evidence: Evidence) -> Found:
    for job in evidence.jobs:
        completed = [row.number for row in evidence.attempts_of(job.id) if row.outcome == "completed"]
        if len(completed) > 1:
            yield job.id, f"was completed by attempts {completed}"
        results = [
            call.seen.result for call in evidence.calls if call.seen and call.seen.job_id == job.id and call.seen.status == "completed"
        ]
        if any(result != job.result for result in results):
            yield job.id, "had another result when a client first read it"


def overlapping_attempts(evidence: Evidence) -> Found:
    for job in evidence.jobs:
        attempts = evidence.attempts_of(job.id)
        for earlier, later in pairwise(attempts):
            if later.started_at < earlier.ended_at - CLOCK_GRAIN:
                yield job.id, f"attempt {later.number} started before attempt {earlier.number} had ended"


def stale_outcomes(evidence: Evidence) -> Found:
    for job in evidence.jobs:
        attempts = evidence.attempts_of(job.id)
        if job.status not in FINISHED or not attempts:
            continue
        last = attempts[-1]
        if evidence.deeds_on(job.id, "force_complete"):
            continue
        expected = {"completed": ("completed",), "failed": ("failed", "worker_lost")}.get(job.status)
        if expected and last.outcome not in expected:
            yield job.id, f"is {job.status}, but attempt {last.number}, the last one, was {last.outcome}"
        if job.status == "completed" and isinstance(job.result, dict) and job.result.get("attempt", last.number) != last.number:
            yield job.id, f"has the result of attempt {job.result['attempt']}, but attempt {last.number} was accepted"


def miscounted_attempts(evidence: Evidence) -> Found:
    for job in evidence.jobs:
        attempts = evidence.attempts_of(job.id)
        numbers = [row.number for row in attempts]
        if job.status in FINISHED and numbers != list(range(1, job.attempt + 1)):
            yield job.id, f"was started {job.attempt} times, but {numbers} are on record"
        rounds = 1 + evidence.deeds_on(job.id, "retry")
        for outcome, allowed in (("failed", job.max_attempts), ("worker_lost", MAX_LOST_ATTEMPTS)):
            count = sum(row.outcome == outcome for row in attempts)
            if count > allowed * rounds:
                yield job.id, f"{count} attempts were {outcome} in {rounds} rounds"


def repeated_submits(evidence: Evidence) -> Found:
    by_title: dict[str, set[UUID]] = defaultdict(set)
    for job in evidence.jobs:
        by_title[job.title].add(job.id)
    for call in _done(evidence, "submit"):
        if call.title and call.job_id:
            by_title[call.title].add(call.job_id)
    for title, ids in by_title.items():
        if len(ids) > 1:
            yield min(ids), f"{len(ids)} jobs were made of one submit, {title!r}"


def broken_cancels(evidence: Evidence) -> Found:
    rows = {job.id: job for job in evidence.jobs}
    for call in _done(evidence, "cancel"):
        row = rows.get(call.job_id) if call.job_id else None
        if row is None or call.seen is None or evidence.deeds_on(row.id, "retry"):
            continue
        # An attempt that began before is not a new start, however late its worker wakes up.
        if any(_started_after(entry, call) for entry in evidence.entries if entry.job_id == row.id and entry.phase is Phase.START):
            yield row.id, f"started again after a cancel that was answered with {call.seen.status}"
        if row.status not in FINISHED:
            yield row.id, f"was asked to stop and is still {row.status}"


def _started_after(entry: object, call: Call) -> bool:
    return entry.at > call.answered_at and entry.attempt > call.seen.attempt  # type: ignore[attr-defined,union-attr]


def illegal_sights(evidence: Evidence) -> Found:
    latest: dict[tuple[str, UUID], Seen] = {}
    for call in evidence.calls:
        if call.seen is None:
            continue
        before, now = latest.get((call.client, call.seen.job_id)), call.seen
        latest[call.client, now.job_id] = now
        if before and (what := _contradicts(before, now, evidence)):
            yield now.job_id, f"{call.client} saw {what}"


def _contradicts(before: Seen, now: Seen, evidence: Evidence) -> str | None:
    seen = f"{_words(now)} after {_words(before)}"
    if now.version < before.version or now.attempt < before.attempt:
        return seen
    if now.version == before.version and now != before:
        return f"two jobs in one version: {seen}"
    if now.status != before.status:
        may_go_on = before.status not in FINISHED or (
            before.status != "completed" and evidence.deeds_on(now.job_id, "retry", "force_complete") > 0
        )
        return None if may_go_on else seen
    return None


def _words(seen: Seen) -> str:
    return f"{seen.status}, attempt {seen.attempt}, version {seen.version}"


def residue(evidence: Evidence) -> Found:
    for what in evidence.residue:
        yield None, what


def bad_answers(evidence: Evidence) -> Found:
    for call in evidence.calls:
        named = f"{call.verb} of {call.client}"
        if call.status is not None and call.status not in DOCUMENTED:
            yield call.job_id, f"{named} was answered with {call.status}"
        if call.status == 503 and not call.has_retry_after:
            yield call.job_id, f"{named} was answered with 503 without Retry-After"
        may_last = call.verb == "clean_up"
        if call.answer is Answer.UNKNOWN and not may_last and call.seconds > SLOWEST_FAILURE_SECONDS:
            yield call.job_id, f"{named} failed only after {call.seconds:.1f} s ({call.status or call.error})"


def _done(evidence: Evidence, *verbs: str) -> Iterator[Call]:
    return (call for call in evidence.calls if call.verb in verbs and call.answer is Answer.OK)


INVARIANTS: dict[str, Callable[[Evidence], Found]] = {
    "I1": lost_jobs,
    "I2": undone_changes,
    "I3": never_started,
    "I4": several_outcomes,
    "I5": overlapping_attempts,
    "I6": stale_outcomes,
    "I7": miscounted_attempts,
    "I8": repeated_submits,
    "I9": broken_cancels,
    "I10": illegal_sights,
    "I11": residue,
    "I12": bad_answers,
}


def executed_twice(evidence: Evidence) -> int:
    """How many effects there were beyond the first of each job: what handlers have to bear, and no violation."""
    effects: dict[UUID, int] = defaultdict(int)
    for entry in evidence.entries:
        effects[entry.job_id] += entry.phase is Phase.EFFECT
    return sum(count - 1 for count in effects.values() if count > 1)


def timeline(evidence: Evidence, job_id: UUID) -> str:
    """All that is known of one job, for a person who has to find out what happened to it."""
    row: JobRow | None = next((job for job in evidence.jobs if job.id == job_id), None)
    lines = [f"job {job_id}: {row}"]
    lines += [f"  attempt {row}" for row in evidence.attempts_of(job_id)]
    lines += [f"  {deed}" for deed in evidence.deeds if deed.job_id == job_id]
    events = [(call.answered_at, str(call)) for call in evidence.calls if call.job_id == job_id]
    events += [(entry.at, str(entry)) for entry in evidence.entries if entry.job_id == job_id]
    return "\n".join(lines + [f"  {text}" for _, text in sorted(events)])
