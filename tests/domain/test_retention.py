"""Retention as an operator writes it, and what is wrong with what they write."""

from datetime import timedelta

import pytest

from jobhub.domain.jobs import JobStatus
from jobhub.domain.retention import RetentionRule, read_age, read_rules, write_rules

DAY = timedelta(days=1)


def rule(job_type, status, age):
    return RetentionRule(job_type=job_type, status=JobStatus(status), age=age)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("completed=90d", (rule(None, "completed", 90 * DAY),)),
        ("completed=12h", (rule(None, "completed", DAY / 2),)),
        (
            " completed=90d ,cancelled=30d,  http.request:completed=7d",
            (rule(None, "completed", 90 * DAY), rule(None, "cancelled", 30 * DAY), rule("http.request", "completed", 7 * DAY)),
        ),
        ("failed=365d, billing:failed=keep", (rule(None, "failed", 365 * DAY), rule("billing", "failed", None))),
        ("completed=36500d", (rule(None, "completed", 36_500 * DAY),)),
    ],
)
def test_rules_are_read(text, rules):
    assert read_rules(text) == rules
    assert read_rules(write_rules(rules)) == rules


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("90d", "'90d' is not STATUS=AGE or TYPE:STATUS=AGE"),
        ("completed=90d,", "'' is not STATUS=AGE or TYPE:STATUS=AGE"),
        ("completed = 90d", "'completed = 90d' is not STATUS=AGE or TYPE:STATUS=AGE"),
        (":completed=90d", "':completed=90d' is not STATUS=AGE or TYPE:STATUS=AGE"),
        ("a:b:completed=90d", "'a:b:completed=90d' is not STATUS=AGE or TYPE:STATUS=AGE"),
        ("finished=90d", "'finished' in 'finished=90d' is not completed, failed or cancelled"),
        ("completed=1d, mail:running=90d", "'running' in 'mail:running=90d' is not completed, failed or cancelled"),
        ("completed=90", "in 'completed=90', '90' is not a number of days or hours such as 90d or 12h, at most 36500d, or keep"),
        ("completed=0d", "in 'completed=0d', '0d' is not a number of days or hours such as 90d or 12h, at most 36500d, or keep"),
        ("completed=1w", "in 'completed=1w', '1w' is not a number of days or hours such as 90d or 12h, at most 36500d, or keep"),
        ("completed=1d, completed=2d", "'completed=2d' is there for the second time"),
        ("a:failed=1d, a:failed=keep", "'a:failed=keep' is there for the second time"),
    ],
)
def test_what_is_no_rule_is_said(text, fault):
    with pytest.raises(ValueError) as caught:
        read_rules(text)

    assert str(caught.value) == fault


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5d", "01d", "90 d", "90D", "36501d", "876001h", "9999999d", "keep"])
def test_what_is_no_age_is_said(text):
    with pytest.raises(ValueError, match="is not a number of days or hours"):
        read_age(text)
