"""What a user can do with jobs, each operation once for both clients. Not here: following them (`following`), administration.

Every operation can raise what `errors` has; only what is special to one is said there.
"""

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from jobhub.client.calls import Calls, QueryValue
from jobhub.client.errors import NotFinished, Unauthenticated
from jobhub.client.exchange import Call, Session, exchange
from jobhub.client.steps import Emit, Emitting, Sleep, Steps
from jobhub.contract.accounts import MeView, TokenPair
from jobhub.contract.jobs import AttemptView, JobTypeView, JobView, PageView
from jobhub.domain.jobs import JobStatus
from jobhub.domain.submission import Submission

MAX_WAIT_SECONDS = 30  # of one request: what many proxies bear; the service would wait for 60
EARLY_PAUSE_SECONDS = 1.0
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
PAGE_SIZE = 100  # as much as one request may ask for

JobRef = JobView | UUID | str
"""A job, or its id."""


def id_of(job: JobRef) -> UUID:
    """The id of a job. Raises ValueError: a text that is none."""
    if isinstance(job, JobView):
        return job.id
    if isinstance(job, UUID):
        return job
    try:
        return UUID(job)
    except ValueError:
        raise ValueError(f"{job!r} is not the id of a job.") from None


def submit(
    session: Session,
    job_type: str,
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    title: str | None = None,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Iterable[str] = (),
    idempotency_key: str | None = None,
) -> Steps[JobView]:
    """Submit a job; when this returns, it is stored and will be run.

    It makes one job however often the request has to be sent, since it has an Idempotency-Key: your own, or a new one for each call. Give
    your own if the program itself may run twice. Without a title the job is called like its type.

    Raises:
        ValueError: the key is not 1 to 200 visible ASCII characters.
    """
    key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
    if not _KEY.fullmatch(key):
        raise ValueError(f"An Idempotency-Key has 1 to 200 visible ASCII characters, unlike {key[:50]!r}.")
    submission = Submission(
        job_type=job_type,
        title=job_type if title is None else title,
        description=description,
        parameters=msgspec.to_builtins(parameters or {}),
        priority=priority,
        scheduled_for=scheduled_for,
        tags=list(tags),
    )
    return (yield from exchange(session, _calls(session).submit(submission, key=key)))


def get(session: Session, job: JobRef) -> Steps[JobView]:
    """A job as it is now. Raises NotFound: there is none, or it is not yours."""
    return _there((yield from exchange(session, _calls(session).read(id_of(job)))))


def get_page(
    session: Session,
    *,
    page: int | None = None,
    per_page: int = 20,
    cursor: str | None = None,
    status: Iterable[JobStatus | str] = (),
    job_type: Iterable[str] = (),
    tag: Iterable[str] = (),
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> Steps[PageView]:
    """One page of your jobs, newest first, with totals. `list_jobs` goes through all pages."""
    query = job_filter(status=status, job_type=job_type, tag=tag, created_after=created_after, created_before=created_before)
    return (yield from exchange(session, _calls(session).page(page=page, per_page=per_page, cursor=cursor, **query)))


def list_jobs(
    session: Session,
    *,
    status: Iterable[JobStatus | str] = (),
    job_type: Iterable[str] = (),
    tag: Iterable[str] = (),
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
) -> Emitting[JobView]:
    """Your jobs, newest first, all or the first `limit`; a page is asked for when it is needed.

    Several of `status` or `job_type` mean any of them, several of `tag` all of them.
    """
    query = job_filter(status=status, job_type=job_type, tag=tag, created_after=created_after, created_before=created_before)

    def page(cursor: str | None, size: int) -> Call[PageView]:
        return _calls(session).page(per_page=size, cursor=cursor, **query)

    return Emitting(emit_pages(session, page, limit=limit))


def job_filter(
    *,
    status: Iterable[JobStatus | str],
    job_type: Iterable[str],
    tag: Iterable[str],
    created_after: datetime | None,
    created_before: datetime | None,
) -> dict[str, QueryValue]:
    """The query of a list. One text stands for a list of one."""
    return {
        "status": [str(JobStatus(one)) for one in _several(status)],
        "job_type": _several(job_type),
        "tag": _several(tag),
        "created_after": created_after,
        "created_before": created_before,
    }


def _several(given: Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def emit_pages(session: Session, page: Any, *, limit: int | None) -> Steps[None]:
    """Emit the jobs of page after page; `page` makes the call for a cursor and a size."""
    cursor, left = None, limit
    while left is None or left > 0:
        answer = yield from exchange(session, page(cursor, PAGE_SIZE if left is None else min(PAGE_SIZE, left)))
        for job in answer.jobs:
            yield Emit(job)
        cursor = answer.next_cursor
        if cursor is None:
            return
        left = None if left is None else left - len(answer.jobs)


def wait(session: Session, job: JobRef, *, timeout_seconds: float | None = None) -> Steps[JobView]:
    """A job once it is finished, whatever its outcome: look at `status`.

    Raises:
        NotFinished: it was not in that time; its `job` says how it stands.
    """
    job_id, ends_at = id_of(job), _end(timeout_seconds)
    while True:
        now = _there((yield from _held(session, job_id, ends_at)))
        if now.status.is_finished:
            return now
        if time.monotonic() >= ends_at:
            raise NotFinished(now, timeout_seconds or 0)


def wait_for_change(session: Session, job: JobView, *, timeout_seconds: float = MAX_WAIT_SECONDS) -> Steps[JobView]:
    """A job once it is newer than `job`; after that time `job` itself. Its place in the queue is no change."""
    ends_at = _end(timeout_seconds)
    while True:
        now = yield from _held(session, job.id, ends_at, known_version=job.version)
        if now is not None and now.version != job.version:
            return now
        if time.monotonic() >= ends_at:
            return job


def _held(session: Session, job_id: UUID, ends_at: float, *, known_version: int | None = None) -> Steps[JobView | None]:
    """One request that the service holds until there is news. One that is about to stop holds none: it must not be asked at once again."""
    began_at, seconds = time.monotonic(), _part(ends_at)
    now = yield from exchange(session, _calls(session).read(job_id, wait_seconds=seconds, known_version=known_version))
    is_news = now is not None and (now.status.is_finished if known_version is None else now.version != known_version)
    if not is_news and time.monotonic() - began_at < seconds / 2:
        yield Sleep(max(0.0, min(EARLY_PAUSE_SECONDS, ends_at - time.monotonic())))
    return now


def _end(timeout_seconds: float | None) -> float:
    return float("inf") if timeout_seconds is None else time.monotonic() + timeout_seconds


def _part(ends_at: float) -> int:
    """How many seconds the next request may wait: whole ones are all the service takes; for the rest it is asked at once."""
    return int(max(0.0, min(MAX_WAIT_SECONDS, ends_at - time.monotonic() + 0.99)))


def cancel(session: Session, job: JobRef, *, reason: str | None = None) -> Steps[JobView]:
    """Cancel a pending job at once, ask a running one to stop: it may still be `running` in the answer.

    Raises:
        IllegalTransition: it has completed or failed.
    """
    return (yield from exchange(session, _calls(session).cancel(id_of(job), reason=reason)))


def retry(session: Session, job: JobRef) -> Steps[JobView]:
    """Put a failed or cancelled job back in the queue. Not sent again when its answer is lost: look at the job then.

    Raises:
        IllegalTransition: it is neither failed nor cancelled.
    """
    return (yield from exchange(session, _calls(session).retry(id_of(job))))


def list_attempts(session: Session, job: JobRef) -> Steps[list[AttemptView]]:
    """The attempts of a job, in order, the running one too. Tracebacks are for administrators."""
    return (yield from exchange(session, _calls(session).attempts(id_of(job))))


def list_job_types(session: Session) -> Steps[list[JobTypeView]]:
    """The job types you may submit, by name, with the JSON Schema of their parameters."""
    return (yield from exchange(session, _calls(session).job_types()))


def me(session: Session) -> Steps[MeView]:
    """Who you are, your limits, and how much of them you have used."""
    return (yield from exchange(session, _calls(session).me()))


def log_in(session: Session, email: str, password: str) -> Steps[TokenPair]:
    """Use the tokens of this account from now on. Raises Unauthenticated: the address or the password is wrong."""
    pair = yield from exchange(session, _calls(session).log_in(email, password))
    session.tokens.keep(pair)
    return pair


def log_out(session: Session) -> Steps[None]:
    """End the login: its refresh token is revoked, and this client has no tokens any more."""
    if session.tokens.refresh_token is not None:
        yield from exchange(session, _calls(session).log_out(session.tokens.refresh_token))
    session.tokens.forget()


def renew(session: Session, rejected: str | None) -> Steps[None]:
    """Get another access token than the rejected one: with the refresh token, or the password if that is known."""
    with session.tokens.exclusive():
        if session.tokens.access_token != rejected:
            return  # somebody else was faster
        session.tokens.keep((yield from _new_pair(session)))


def _new_pair(session: Session) -> Steps[TokenPair]:
    tokens = session.tokens
    if tokens.refresh_token is not None:
        try:
            return (yield from exchange(session, _calls(session).refresh(tokens.refresh_token)))
        except Unauthenticated:
            if tokens.credentials is None:
                raise
    assert tokens.credentials is not None  # `can_renew` was asked before
    return (yield from exchange(session, _calls(session).log_in(*tokens.credentials)))


def _calls(session: Session) -> Calls:
    return Calls(session.timeout_seconds)


def _there(job: JobView | None) -> JobView:
    assert job is not None  # without a known version there is always a body
    return job
