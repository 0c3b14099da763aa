"""What a user sends to submit a job, and the rules about it that need no database.

Source: shared HTTP contract, `POST /jobs`. Not here: whether the job type exists (`services.jobs`).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from jobhub.domain.errors import FieldError, InvalidInput, PayloadTooLarge
from jobhub.domain.job_types import Registry
from jobhub.domain.strict_json import MAX_ERRORS, measure
from jobhub.domain.validation import convert, convert_fields, with_faults, without_nulls

MAX_BODY_BYTES = 256 * 1024
MAX_PARAMETERS_BYTES = 128 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_AHEAD = timedelta(days=366)  # a year, in the longest reading

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_OUT_OF_RANGE = "is outside the years 1 to 9999 in UTC"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /jobs`."""

    job_type: Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="A name from GET /job-types")]
    title: Annotated[
        str, msgspec.Meta(min_length=1, max_length=1000, description="Trimmed; then 1 to 200 characters, no control characters")
    ]
    description: Annotated[str, msgspec.Meta(max_length=4000)] | None = None
    parameters: Annotated[dict[str, Any], msgspec.Meta(description="Must fit parameters_schema of the job type")] = {}
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100, description="Higher runs first")] = 0
    scheduled_for: Annotated[datetime, msgspec.Meta(tz=True, description="At most a year ahead; in the past: at once")] | None = None
    tags: Annotated[list[Tag], msgspec.Meta(max_length=20)] = []


def read_submission(body: bytes, parsed: tuple[Any, list[FieldError]], registry: Registry, *, now: datetime) -> Submission:
    """The submission a body, and what `parse_json` made of it, stand for: its title trimmed, its parameters checked against the job type's.

    Raises:
        InvalidInput: with everything that is wrong, of whatever kind.
        PayloadTooLarge: the parameters alone are over their limit.
    """
    tree, faults = parsed
    if len(body) > MAX_PARAMETERS_BYTES and isinstance(tree, dict):
        _check_parameters_size(body)
    tree = without_nulls(tree, Submission)
    fields, errors = convert_fields(tree, Submission)
    if isinstance(fields.get("title"), str):
        fields["title"] = fields["title"].strip()
    errors += _rule_errors(fields, now)
    errors += _type_errors(fields, registry)
    if isinstance(tree, dict) and (problem := time_text_error(tree.get("scheduled_for"))):
        errors = [error for error in errors if error.pointer != "/scheduled_for"] + [FieldError("/scheduled_for", problem)]
    if errors := with_faults(faults, errors):
        raise InvalidInput(errors[:MAX_ERRORS])
    return Submission(**fields)


def _check_parameters_size(body: bytes) -> None:
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("parameters", b"")
    if len(bytes(raw)) > MAX_PARAMETERS_BYTES:
        raise PayloadTooLarge("`parameters`", MAX_PARAMETERS_BYTES)


def _rule_errors(fields: dict[str, Any], now: datetime) -> Iterator[FieldError]:
    """What a type can't say; `fields` holds those that have the right type."""
    title, description, tags = fields.get("title"), fields.get("description"), fields.get("tags", [])
    if title is not None and not 1 <= len(title) <= 200:
        yield FieldError("/title", "must have 1 to 200 characters once it is trimmed")
    if title and _CONTROL.search(title):
        yield FieldError("/title", "must not hold control characters")
    if description and _CONTROL_BUT_BREAKS.search(description):
        yield FieldError("/description", "must not hold control characters other than line breaks")
    if len(set(tags)) < len(tags):
        yield FieldError("/tags", "must not repeat a tag")
    yield from (FieldError(f"/tags/{index}", "must not hold control characters") for index, tag in enumerate(tags) if _CONTROL.search(tag))
    depth, nodes = measure(fields.get("parameters", {}))
    if depth > MAX_DEPTH or nodes > MAX_NODES:
        yield FieldError("/parameters", f"must be nested at most {MAX_DEPTH} deep and have at most {MAX_NODES} values")
    if (scheduled_for := fields.get("scheduled_for")) and (problem := _time_error(scheduled_for, now)):
        yield FieldError("/scheduled_for", problem)


def _time_error(scheduled_for: datetime, now: datetime) -> str | None:
    try:
        return "must be at most a year ahead" if scheduled_for.astimezone(UTC) > now + MAX_AHEAD else None
    except OverflowError:
        return _OUT_OF_RANGE


def _type_errors(fields: dict[str, Any], registry: Registry) -> list[FieldError]:
    """Whether the job type exists and the parameters fit it."""
    name, parameters = fields.get("job_type"), fields.get("parameters")
    if name is None:
        return []
    job_type = registry.get(name)
    if job_type is None:
        return [FieldError("/job_type", f"there is no job type {name[:100]!r}; GET /job-types lists those there are")]
    try:
        if parameters is not None:
            convert(parameters, job_type.parameters, pointer="/parameters")
    except InvalidInput as error:
        return list(error.errors)
    return []


def time_text_error(text: Any) -> str | None:
    """Why a text is not a time as the contract wants it; msgspec alone would also take a space for the T."""
    if not isinstance(text, str):
        return None
    if not RFC3339.fullmatch(text):
        return "must be an RFC 3339 time with T and an offset, like 2026-11-23T10:00:00Z"
    try:
        datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        return _OUT_OF_RANGE
    except ValueError:  # a 30th of February: the conversion says so
        return None
    return None
