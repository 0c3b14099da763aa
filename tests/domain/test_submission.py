"""The rules about a submission that go by the clock; all others stand in tests/web/test_bad_input.py."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.errors import InvalidInput
from jobhub.domain.strict_json import parse_json
from jobhub.domain.submission import read_submission, time_text_error

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def submission(registry, **fields):
    body = json.dumps({"job_type": "test.echo", "title": "a job", **fields}).encode()
    return read_submission(body, parse_json(body), registry, now=NOW)


@pytest.mark.parametrize(("ahead", "is_accepted"), [(timedelta(days=366), True), (timedelta(days=366, seconds=1), False)])
def test_a_job_may_wait_a_year_and_no_longer(registry, ahead, is_accepted):
    text = (NOW + ahead).isoformat()

    if is_accepted:
        assert submission(registry, scheduled_for=text).scheduled_for == NOW + ahead
    else:
        with pytest.raises(InvalidInput, match="a year ahead"):
            submission(registry, scheduled_for=text)


def test_what_is_left_out_has_its_default(registry):
    found = submission(registry)

    assert (found.description, found.parameters, found.priority, found.scheduled_for, found.tags) == (None, {}, 0, None, [])


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01t00:00:00z", "2026-01-01T00:00:00.123456789+05:30", None, 5])
def test_a_time_as_the_contract_wants_it(text):
    assert time_text_error(text) is None


@pytest.mark.parametrize("text", ["2026-01-01 00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", "now", "", "9999-12-31T23:59:59-01:00"])
def test_a_time_in_another_form(text):
    assert time_text_error(text)


def test_a_type_for_administrators_is_known_to_the_rules(registry):
    assert submission(registry, job_type="test.admin").job_type == "test.admin"
