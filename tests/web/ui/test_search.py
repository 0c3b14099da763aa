"""The search box: what it understands, and what it says when it doesn't."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from jobhub.domain.jobs import JobStatus
from jobhub.store.matching import JobFilter
from jobhub.web.ui.search import ADMIN_KEYS, USER_KEYS, read_search
from tests import factories

ID = UUID("01a223f7-ca3b-707e-b1ca-55da3f87043a")  # fixed: it is part of the names of tests, which each process must call alike
CASES = {
    "": JobFilter(),
    "   ": JobFilter(),
    "monthly report": JobFilter(text="monthly report"),
    '"monthly  report"': JobFilter(text="monthly  report"),
    'a "b': JobFilter(text="a b"),
    "status:failed": JobFilter(statuses=(JobStatus.FAILED,)),
    "STATUS:failed,cancelled": JobFilter(statuses=(JobStatus.FAILED, JobStatus.CANCELLED)),
    "type:report.query,demo.fail x": JobFilter(job_types=("report.query", "demo.fail"), text="x"),
    "tag:a tag:b": JobFilter(tags=("a", "b")),
    'tag:"two words"': JobFilter(tags=("two words",)),
    f"worker:{ID}": JobFilter(worker_id=ID),
    "error:boom": JobFilter(error_code="boom", statuses=(JobStatus.FAILED,)),
    'error:"two words" status:failed,cancelled': JobFilter(error_code="two words", statuses=(JobStatus.FAILED, JobStatus.CANCELLED)),
    "after:2026-11-01": JobFilter(created_after=datetime(2026, 11, 1, tzinfo=UTC)),
    "before:2026-11-01T10:00+02:00": JobFilter(created_before=datetime(2026, 11, 1, 8, tzinfo=UTC)),
    "https://example.org/x": JobFilter(text="https://example.org/x"),
    "nul\0byte": JobFilter(text="nulbyte"),
}


@pytest.mark.parametrize("text", CASES)
def test_a_search_is_the_filter_it_says(text):
    found = read_search(text, keys=ADMIN_KEYS)

    assert (found.where, found.problems) == (CASES[text], ())


@pytest.mark.parametrize("owner", ["alice@example.org", str(ID)])
def test_an_owner_is_an_id_or_an_address(owner):
    found = read_search(f"owner:{owner} status:failed", keys=ADMIN_KEYS)

    assert (found.owner, found.where, found.problems) == (owner, JobFilter(statuses=(JobStatus.FAILED,)), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("status:broken", "“broken” is no status. Use pending, running, completed, failed, cancelled."),
        (
            "staus:failed",
            "There is no key “staus:”. Use status:, type:, tag:, error:, after: or before:, or put the words in double quotes.",
        ),
        ("owner:bob@example.org", "There is no key “owner:”."),
        ("after:yesterday", "“yesterday” is no date."),
        ("after:0001-01-01T00:00+14:00", "is no date."),
    ],
)
def test_what_is_not_understood_is_said(text, words):
    found = read_search(text, keys=USER_KEYS)

    assert len(found.problems) == 1
    assert words in found.problems[0]


def test_a_tab_wins_over_the_status_in_the_text():
    assert read_search("status:failed", status="running", keys=USER_KEYS).where.statuses == (JobStatus.RUNNING,)


def test_one_is_confined_to_ones_own_jobs_whatever_one_writes():
    assert read_search(f"owner:{factories.new_id()}", keys=USER_KEYS, owner_id=ID).where.owner_id == ID
