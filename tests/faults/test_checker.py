"""Each invariant can be violated: for each there is evidence that contradicts it and it alone, and a sound story that contradicts none."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.faults.checker import INVARIANTS, check, executed_twice, timeline
from tests.faults.evidence import AttemptRow, Deed, Evidence, JobRow
from tests.faults.history import Answer, Call, Seen
from tests.faults.ledger import Entry, Phase

JOB = UUID(int=1)
OTHER = UUID(int=2)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def job(**columns: Any) -> JobRow:
    values: dict[str, Any] = {"id": JOB, "title": "a", "job_type": "t", "status": "completed", "attempt": 1, "max_attempts": 1}
    return JobRow(**{**values, "result": {"attempt": columns.get("attempt", 1)}, **columns})


def attempt(number: int, outcome: str = "completed", *, start: float | None = None, end: float | None = None) -> AttemptRow:
    start = number * 10 if start is None else start
    end = number * 10 + 5 if end is None else end
    return AttemptRow(
        job_id=JOB, number=number, outcome=outcome, started_at=NOON + timedelta(seconds=start), ended_at=NOON + timedelta(seconds=end)
    )


def call(verb: str, at: float = 1.0, **fields: Any) -> Call:
    values: dict[str, Any] = {
        "client": "c1",
        "asked_at": at - 0.1,
        "answered_at": at,
        "answer": Answer.OK,
        "status": 201 if verb == "submit" else 200,
        "job_id": JOB,
        "title": "a" if verb == "submit" else None,
    }
    return Call(verb=verb, **{**values, **fields})


def seen(status: str = "completed", version: int = 3, attempt: int = 1, **fields: Any) -> Seen:
    result = {"attempt": 1} if status == "completed" else None
    return Seen(**{"job_id": JOB, "status": status, "version": version, "attempt": attempt, "result": result, **fields})


def entry(phase: Phase, attempt: int = 1, at: float = 2.0) -> Entry:
    return Entry(job_id=JOB, attempt=attempt, phase=phase, pid=1, at=at)


# One job that was submitted, ran once, completed and was read twice.
SOUND = Evidence(
    jobs=[job()],
    attempts=[attempt(1)],
    calls=[call("submit", seen=seen("pending", 1, 0)), call("read", 3.0, seen=seen())],
    entries=[entry(Phase.START), entry(Phase.EFFECT)],
)


def but(**changes: Any) -> Evidence:
    return msgspec.structs.replace(SOUND, **changes)


CANCELLED = {
    "jobs": [job(status="cancelled", result=None, attempt=0)],
    "attempts": [],
    "entries": [],
    "deeds": [Deed(job_id=JOB, verb="cancel")],
}
PENDING_CANCEL = call("cancel", 1.5, seen=seen("cancelled", 2, 0))

SOUND_STORIES = {
    "completed": SOUND,
    "cancelled while pending": but(**CANCELLED, calls=[call("submit"), PENDING_CANCEL, PENDING_CANCEL]),
    "cancelled while running, but finished first": but(
        calls=[call("submit"), call("cancel", 1.5, seen=seen("running", 2, 1, cancel_requested=True))],
        deeds=[Deed(job_id=JOB, verb="cancel")],
    ),
    "lost and run again": but(
        jobs=[job(attempt=2)],
        attempts=[attempt(1, "worker_lost"), attempt(2)],
        calls=[call("submit")],
        entries=[entry(Phase.EFFECT, 1), entry(Phase.EFFECT, 2)],
    ),
    "failed and retried": but(
        jobs=[job(attempt=2)],
        attempts=[attempt(1, "failed"), attempt(2)],
        deeds=[Deed(job_id=JOB, verb="retry")],
        calls=[
            call("submit"),
            call("read", seen=seen("failed", 3, 1)),
            call("retry", seen=seen("pending", 4, 1)),
            call("read", seen=seen("running", 5, 2)),
        ],
        entries=[entry(Phase.EFFECT, 2)],
    ),
    "completed by hand while it ran": but(
        jobs=[job(result=None)],
        attempts=[attempt(1, "superseded")],
        deeds=[Deed(job_id=JOB, verb="force_complete")],
        calls=[call("submit"), call("force_complete", seen=seen(result=None))],
        entries=[entry(Phase.START)],
    ),
    "a submit nobody knows the outcome of": but(
        calls=[call("submit", answer=Answer.UNKNOWN, status=503, has_retry_after=True, job_id=None)]
    ),
    "scheduled for later": but(
        jobs=[job(status="pending", attempt=0, result=None, is_for_later=True)], attempts=[], calls=[call("submit")]
    ),
}

VIOLATIONS = [
    ("I1", "is not there", but(calls=[*SOUND.calls, call("submit", job_id=OTHER, title="b")])),
    ("I1", "still pending", but(jobs=[job(status="pending", attempt=0, result=None)], attempts=[], calls=[call("submit")])),
    (
        "I2",
        "was cancelled and is completed",
        but(calls=[call("submit"), PENDING_CANCEL], deeds=[Deed(job_id=JOB, verb="cancel")], entries=[]),
    ),
    ("I2", "not on record", but(calls=[call("submit"), call("cancel", seen=seen("running", 2, 1))])),
    (
        "I2",
        "never started again",
        but(
            jobs=[job(status="failed", result=None)],
            attempts=[attempt(1, "failed")],
            calls=[call("submit"), call("retry", seen=seen("pending", 4, 1))],
            deeds=[Deed(job_id=JOB, verb="retry")],
        ),
    ),
    (
        "I2",
        "completed by hand and is failed",
        but(
            jobs=[job(status="failed", result=None)],
            attempts=[attempt(1, "failed")],
            calls=[call("submit"), call("force_complete", seen=seen(result=None))],
            deeds=[Deed(job_id=JOB, verb="force_complete")],
        ),
    ),
    ("I3", "without an attempt", but(jobs=[job(attempt=0, result=None)], attempts=[], calls=[call("submit")])),
    ("I3", "had no effect", but(entries=[entry(Phase.START)])),
    ("I4", "by attempts [1, 2]", but(jobs=[job(attempt=2)], attempts=[attempt(1), attempt(2)], calls=[], entries=[entry(Phase.EFFECT, 2)])),
    ("I4", "another result", but(calls=[call("read", seen=seen(result={"attempt": 1, "more": 2}))])),
    (
        "I5",
        "started before",
        but(
            jobs=[job(attempt=2)],
            attempts=[attempt(1, "worker_lost", end=30), attempt(2)],
            calls=[],
            entries=[entry(Phase.EFFECT, 2)],
        ),
    ),
    ("I6", "was released", but(attempts=[attempt(1, "released")])),
    ("I6", "result of attempt 7", but(jobs=[job(result={"attempt": 7})], calls=[])),
    (
        "I7",
        "[1, 3] are on record",
        but(jobs=[job(attempt=3)], attempts=[attempt(1, "released"), attempt(3)], calls=[], entries=[entry(Phase.EFFECT, 3)]),
    ),
    (
        "I7",
        "were failed",
        but(
            jobs=[job(attempt=3)],
            attempts=[attempt(1, "failed"), attempt(2, "failed"), attempt(3)],
            calls=[],
            entries=[entry(Phase.EFFECT, 3)],
        ),
    ),
    (
        "I7",
        "were worker_lost",
        but(
            jobs=[job(attempt=5)],
            attempts=[*(attempt(number, "worker_lost") for number in range(1, 5)), attempt(5)],
            calls=[],
            entries=[entry(Phase.EFFECT, 5)],
        ),
    ),
    (
        "I8",
        "2 jobs",
        but(jobs=[job(), job(id=OTHER, status="cancelled", attempt=0, result=None)], deeds=[Deed(job_id=OTHER, verb="cancel")]),
    ),
    ("I9", "started again", but(**{**CANCELLED, "entries": [entry(Phase.START, 1, at=9.0)]}, calls=[call("submit"), PENDING_CANCEL])),
    (
        "I9",
        "still running",
        but(
            jobs=[job(status="running", result=None)],
            attempts=[],
            calls=[call("cancel", seen=seen("running", 2, 1))],
            deeds=[Deed(job_id=JOB, verb="cancel")],
        ),
    ),
    ("I10", "version 2 after completed", but(calls=[call("read", seen=seen()), call("read", seen=seen("running", 2))])),
    ("I10", "running, attempt 1, version 4 after completed", but(calls=[call("read", seen=seen()), call("read", seen=seen("running", 4))])),
    ("I10", "attempt 0", but(calls=[call("read", seen=seen("running", 2)), call("read", seen=seen("pending", 3, 0))])),
    ("I10", "two jobs in one version", but(calls=[call("read", seen=seen("running", 3)), call("read", seen=seen("pending", 3))])),
    ("I11", "a stray delivery", but(residue=["a stray delivery"])),
    ("I12", "answered with 500", but(calls=[call("read", answer=Answer.UNKNOWN, status=500)])),
    ("I12", "without Retry-After", but(calls=[call("read", answer=Answer.UNKNOWN, status=503)])),
    ("I12", "failed only after", but(calls=[call("read", 60.0, asked_at=1.0, answer=Answer.UNKNOWN, status=None, error="ReadTimeout")])),
]


@pytest.mark.parametrize("story", SOUND_STORIES)
def test_a_sound_story_contradicts_nothing(story: str) -> None:
    assert check(SOUND_STORIES[story]) == []


@pytest.mark.parametrize(("invariant", "what", "evidence"), VIOLATIONS, ids=[f"{name}-{what}" for name, what, _ in VIOLATIONS])
def test_a_violation_is_found_and_no_other(invariant: str, what: str, evidence: Evidence) -> None:
    found = check(evidence)

    assert {violation.invariant for violation in found} == {invariant}
    assert any(what in violation.what for violation in found), found


def test_every_invariant_can_be_violated() -> None:
    assert {name for name, _, _ in VIOLATIONS} == set(INVARIANTS)


def test_effects_beyond_the_first_are_counted() -> None:
    assert executed_twice(SOUND) == 0
    assert executed_twice(SOUND_STORIES["lost and run again"]) == 1


def test_the_timeline_of_a_job_tells_all_of_it_in_order() -> None:
    lines = timeline(SOUND, JOB).splitlines()

    assert [line.split("(")[0].strip() for line in lines] == [f"job {JOB}: JobRow", "attempt AttemptRow", "Call", "Entry", "Entry", "Call"]
