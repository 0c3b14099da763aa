"""The table in docs/job-lifecycle.md and the one in the code are one table."""

import re
from pathlib import Path

from jobhub.domain.jobs import JobStatus, Verb
from jobhub.domain.lifecycle import ALLOWED_FROM, is_allowed

DOCUMENT = Path(__file__).parents[2] / "docs" / "job-lifecycle.md"


def documented() -> dict[str, set[str]]:
    """From which statuses each verb is possible, as the document says."""
    rows = re.findall(r"^\| *`?(\w+)`? *\| *([^|]*?) *\|[^|]*\|[^|]*\|[^|]*\|$", DOCUMENT.read_text(), re.MULTILINE)
    table: dict[str, set[str]] = {}
    for verb, statuses in rows:
        if verb in set(Verb):
            table.setdefault(verb, set()).update(re.findall("|".join(JobStatus), statuses))
    return table


def test_the_document_and_the_code_allow_the_same():
    assert documented() == {verb.value: {status.value for status in statuses} for verb, statuses in ALLOWED_FROM.items()}


def test_every_verb_has_its_row():
    assert set(ALLOWED_FROM) == set(Verb)


def test_nothing_leaves_completed_but_clean_up():
    assert [verb for verb in Verb if is_allowed(verb, JobStatus.COMPLETED)] == [Verb.CLEAN_UP]
