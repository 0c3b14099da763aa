"""What the commands for everybody do."""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
import rich_click as click

from jobhub.cli.jobs.connection import connected
from jobhub.cli.jobs.exits import exit_of_job
from jobhub.cli.jobs.parameters import read_pairs, read_time
from jobhub.cli.jobs.printing import HEADINGS, print_fields, print_job, print_json, print_rows, row_of
from jobhub.cli.jobs.watching import follow, follow_quietly
from jobhub.client import Client
from jobhub.contract.jobs import JobTypeView, JobView

# Each has an event stream of its own, and a user may have 10 open.
MAX_WATCHED = 8


def submit(
    job_type: str,
    pairs: Sequence[str],
    *,
    file: BinaryIO | None,
    title: str | None,
    description: str | None,
    priority: int,
    at: str | None,
    tags: Sequence[str],
    key: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Submit a job and print its id; or wait for it and print all of it."""
    with connected() as client:
        job = client.submit(
            job_type,
            _parameters(client, job_type, pairs, file),
            title=title,
            description=description,
            priority=priority,
            scheduled_for=read_time(at, now=datetime.now(UTC)) if at else None,
            tags=tags,
            idempotency_key=key,
        )
        if wait:
            job = follow_quietly(client, job.id) if timeout is None else client.wait(job, timeout_seconds=timeout)
            _print(job, as_json=as_json)
            raise SystemExit(exit_of_job(job.status))
        print_json(job) if as_json else click.echo(str(job.id))


def _parameters(client: Client, job_type: str, pairs: Sequence[str], file: BinaryIO | None) -> dict[str, Any]:
    """Those of the file, and over them those of the command line."""
    given = read_object(file) if file else {}
    if pairs:
        given |= read_pairs(pairs, _find_type(client.list_job_types(), job_type).parameters_schema)
    return given


def read_object(file: BinaryIO) -> dict[str, Any]:
    """The JSON object in a file. Raises ValueError: it holds something else."""
    try:
        return msgspec.json.decode(file.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name} must hold a JSON object: {error}.") from None


def _find_type(job_types: Sequence[JobTypeView], name: str) -> JobTypeView:
    found = next((job_type for job_type in job_types if job_type.name == name), None)
    if found is None:
        close = difflib.get_close_matches(name, [job_type.name for job_type in job_types], n=3)
        raise ValueError(
            f"There is no job type {name!r} for you." + (f" Did you mean {' or '.join(close)}?" if close else " See `jobhub jobs types`.")
        )
    return found


def list_jobs(
    *,
    statuses: Sequence[str],
    job_types: Sequence[str],
    tags: Sequence[str],
    after: datetime | None,
    before: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """The user's jobs."""
    with connected() as client:
        found = client.list_jobs(status=statuses, job_type=job_types, tag=tags, created_after=after, created_before=before, limit=limit)
        if as_json:
            for job in found:
                print_json(job)
        else:
            print_rows(HEADINGS, map(row_of, found))


def get(job_id: UUID, *, as_json: bool) -> None:
    """One job."""
    with connected() as client:
        _print(client.get(job_id), as_json=as_json)


def _print(job: JobView, *, as_json: bool) -> None:
    (print_json if as_json else print_job)(job)


def watch(job_ids: Sequence[UUID], *, as_json: bool) -> None:
    """Follow jobs."""
    if len(set(job_ids)) > MAX_WATCHED:
        raise click.UsageError(f"At most {MAX_WATCHED} jobs can be watched by their ids; without ids all of yours are.")
    with connected() as client:
        raise SystemExit(follow(client, job_ids, as_json=as_json))


def cancel(job_ids: Sequence[UUID], *, reason: str | None, as_json: bool) -> None:
    """Cancel jobs, one after the other."""
    with connected() as client:
        print_all([client.cancel(job_id, reason=reason) for job_id in job_ids], as_json=as_json)


def retry(job_ids: Sequence[UUID], *, as_json: bool) -> None:
    """Retry jobs, one after the other."""
    with connected() as client:
        print_all([client.retry(job_id) for job_id in job_ids], as_json=as_json)


def print_all(jobs: Sequence[JobView], *, as_json: bool) -> None:
    """Jobs as a list."""
    if as_json:
        for job in jobs:
            print_json(job)
    else:
        print_rows(HEADINGS, map(row_of, jobs))


def list_attempts(job_id: UUID, *, as_json: bool) -> None:
    """The attempts of a job."""
    with connected() as client:
        attempts = client.list_attempts(job_id)
        if as_json:
            for attempt in attempts:
                print_json(attempt)
            return
        rows = [
            (one.number, one.outcome or "running", one.started_at, one.ended_at, one.worker, one.error_code, one.error_message)
            for one in attempts
        ]
        print_rows(("attempt", "outcome", "started", "ended", "worker", "code", "error"), rows)


def list_job_types(name: str | None, *, as_json: bool) -> None:
    """All job types, or one with its parameters."""
    with connected() as client:
        job_types = client.list_job_types()
        if name is not None:
            _print_type(_find_type(job_types, name), as_json=as_json)
        elif as_json:
            for job_type in job_types:
                print_json(job_type)
        else:
            print_rows(("type", "summary"), [(job_type.name, job_type.summary) for job_type in job_types])


def _print_type(job_type: JobTypeView, *, as_json: bool) -> None:
    if as_json:
        print_json(job_type)
        return
    schema = job_type.parameters_schema
    definitions = schema.get("$defs", {})
    if reference := schema.get("$ref"):
        schema = definitions[reference.rpartition("/")[2]]
    print_fields([("type", job_type.name), ("summary", job_type.summary), ("timeout", f"{job_type.timeout_seconds:g} s")])
    print_fields(
        (f"  {name}", _parameter_text(name, described, job_type.defaults, is_required=name in schema.get("required", [])))
        for name, described in schema.get("properties", {}).items()
    )


def _parameter_text(name: str, described: dict[str, Any], defaults: dict[str, Any], *, is_required: bool) -> str:
    rules = msgspec.json.encode({rule: value for rule, value in described.items() if rule != "default"}).decode()
    if is_required:
        return f"{rules} required"
    return f"{rules} default {msgspec.json.encode(defaults[name]).decode()}" if name in defaults else rules


def show_me(*, as_json: bool) -> None:
    """Whose login it is, and their limits."""
    with connected() as client:
        me = client.me()
        if as_json:
            print_json(me)
            return
        print_fields([("email", me.email), ("role", me.role.value), ("id", me.id)])
        rows = [(name.replace("_", " "), getattr(me.usage, name), getattr(me.limits, name)) for name in me.limits.__struct_fields__]
        print_rows(("limit", "used", "of"), [(name, used, "no limit" if most is None else most) for name, used, most in rows])
