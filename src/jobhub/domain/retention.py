"""How long finished jobs are kept: rules as an operator writes them. Not here: applying them (`services.retention`)."""

import re
from datetime import timedelta

import msgspec

from jobhub.domain.jobs import FINISHED, JobStatus

KEEP = "keep"
_AGE = re.compile(r"([1-9][0-9]{0,5})([dh])")
_RULE = re.compile(r"(?:([^:=\s]{1,100}):)?([a-z]+)=(\S+)")
_MAX_AGE = timedelta(days=36_500)  # a hundred years, as the API's clean-up allows


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long jobs of one status, and of one job type or of all that have no rule of their own, are kept. `age` None: for ever."""

    job_type: str | None
    status: JobStatus
    age: timedelta | None


def read_rules(text: str) -> tuple[RetentionRule, ...]:
    """The rules a text such as `completed=90d, http.request:completed=7d` stands for.

    Raises:
        ValueError: it stands for none; the message says which part is wrong, and how.
    """
    rules: dict[tuple[str | None, JobStatus], RetentionRule] = {}
    for part in (part.strip() for part in text.split(",")):
        rule = _read_rule(part)
        if (rule.job_type, rule.status) in rules:
            raise ValueError(f"{part!r} is there for the second time")
        rules[rule.job_type, rule.status] = rule
    return tuple(rules.values())


def _read_rule(part: str) -> RetentionRule:
    match = _RULE.fullmatch(part)
    if not match:
        raise ValueError(f"{part!r} is not STATUS=AGE or TYPE:STATUS=AGE")
    job_type, status, age = match.groups()
    if status not in set(FINISHED):
        raise ValueError(f"{status!r} in {part!r} is not completed, failed or cancelled")
    try:
        return RetentionRule(job_type=job_type, status=JobStatus(status), age=None if age == KEEP else read_age(age))
    except ValueError as error:
        raise ValueError(f"in {part!r}, {error}, or {KEEP}") from None


def read_age(text: str) -> timedelta:
    """A length of time such as `90d` or `12h`.

    Raises:
        ValueError: it is none; the message says so.
    """
    match = _AGE.fullmatch(text)
    age = match and timedelta(**{{"d": "days", "h": "hours"}[match[2]]: int(match[1])})
    if not age or age > _MAX_AGE:
        raise ValueError(f"{text!r} is not a number of days or hours such as 90d or 12h, at most 36500d")
    return age


def write_age(age: timedelta) -> str:
    """What `read_age` reads."""
    hours = int(age.total_seconds() // 3600)
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


def write_rules(rules: tuple[RetentionRule, ...]) -> str:
    """What `read_rules` reads."""
    return ", ".join(
        f"{rule.job_type + ':' if rule.job_type else ''}{rule.status}={write_age(rule.age) if rule.age else KEEP}" for rule in rules
    )
