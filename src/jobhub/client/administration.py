"""What only administrators can do, each operation once for both clients. Others get NotPermitted."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from jobhub.client.calls import Calls
from jobhub.client.exchange import Call, Session, exchange
from jobhub.client.operations import JobRef, emit_pages, id_of, job_filter
from jobhub.client.steps import Emitting, Steps
from jobhub.contract.accounts import ChangeUserRequest, NewUserRequest, UserView
from jobhub.contract.figures import QueueStatus, Statistics, Window
from jobhub.contract.jobs import AdminJobView, AdminPageView, CleanUpView, JobView
from jobhub.domain.jobs import JobStatus
from jobhub.domain.users import Role


def list_all_jobs(
    session: Session,
    *,
    owner: str | UUID | None = None,
    worker: UUID | None = None,
    text: str | None = None,
    status: Iterable[JobStatus | str] = (),
    job_type: Iterable[str] = (),
    tag: Iterable[str] = (),
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
) -> Emitting[AdminJobView]:
    """Everybody's jobs, newest first, with whose each is and which worker ran it last; all or the first `limit`.

    `owner` is an id or an e-mail address, `text` is looked for in titles.
    """
    query = job_filter(status=status, job_type=job_type, tag=tag, created_after=created_after, created_before=created_before)

    def page(cursor: str | None, size: int) -> Call[AdminPageView]:
        return Calls(session.timeout_seconds).page_of_all(
            per_page=size, cursor=cursor, owner=None if owner is None else str(owner), worker=worker, q=text, **query
        )

    return Emitting(emit_pages(session, page, limit=limit))


def statistics(session: Session, window: Window | str = Window.DAY) -> Steps[Statistics]:
    """Counts, rates and times of a window: `1h`, `24h`, `7d`, `30d` or `all`."""
    return (yield from exchange(session, Calls(session.timeout_seconds).statistics(Window(window))))


def queue_status(session: Session) -> Steps[QueueStatus]:
    """What waits, what runs, which workers live, and whether that is healthy."""
    return (yield from exchange(session, Calls(session.timeout_seconds).queue_status()))


def force_complete(session: Session, job: JobRef, *, result: Mapping[str, Any] | None = None, reason: str | None = None) -> Steps[JobView]:
    """Complete a job by hand; the outcome of an attempt that runs is dropped. Not sent again when its answer is lost.

    Raises:
        IllegalTransition: it has completed.
    """
    call = Calls(session.timeout_seconds).force_complete(id_of(job), result=result, reason=reason)
    return (yield from exchange(session, call))


def pin(session: Session, job: JobRef, *, reason: str | None = None) -> Steps[JobView]:
    """Keep a job, and its attempts, from every clean-up. Repeating it changes nothing."""
    return (yield from exchange(session, Calls(session.timeout_seconds).pin(id_of(job), reason=reason)))


def unpin(session: Session, job: JobRef, *, reason: str | None = None) -> Steps[JobView]:
    """Let clean-ups have a job again. Repeating it changes nothing."""
    return (yield from exchange(session, Calls(session.timeout_seconds).unpin(id_of(job), reason=reason)))


def clean_up(
    session: Session, *, days_old: int = 30, include_cancelled: bool = False, dry_run: bool = False, timeout_seconds: float = 3600
) -> Steps[CleanUpView]:
    """Delete jobs that completed at least `days_old` days ago; failed and pinned ones stay. Not sent again when its answer is lost.

    Raises:
        CleanUpInProgress: another one is running.
    """
    call = Calls(timeout_seconds).clean_up(days_old=days_old, include_cancelled=include_cancelled, dry_run=dry_run)
    return (yield from exchange(session, call))


def list_users(session: Session) -> Steps[list[UserView]]:
    """All accounts, oldest first."""
    return (yield from exchange(session, Calls(session.timeout_seconds).users()))


def create_user(session: Session, email: str, password: str, *, role: Role | str = Role.USER) -> Steps[UserView]:
    """A new account. Raises EmailTaken."""
    user = NewUserRequest(email=email, password=password, role=Role(role))
    return (yield from exchange(session, Calls(session.timeout_seconds).create_user(user)))


def change_user(
    session: Session, user_id: UUID, *, role: Role | str | None = None, password: str | None = None, disabled: bool | None = None
) -> Steps[UserView]:
    """Change what is not None. A disabled user is refused at once, and their pending jobs are cancelled.

    Raises:
        LastAdministrator: nobody would be left to administer.
    """
    changes = ChangeUserRequest(role=None if role is None else Role(role), password=password, disabled=disabled)
    return (yield from exchange(session, Calls(session.timeout_seconds).change_user(user_id, changes)))
