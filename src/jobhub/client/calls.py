"""Every call of the API: what is sent, and how the answer is read. Pure functions; `exchange` carries them through."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from jobhub.client.errors import UnexpectedAnswer
from jobhub.client.exchange import Call
from jobhub.client.steps import Answer, Request
from jobhub.contract.accounts import (
    ChangeUserRequest,
    LoginRequest,
    MeView,
    NewUserRequest,
    RefreshRequest,
    TokenPair,
    UserView,
)
from jobhub.contract.figures import QueueStatus, Statistics, Window
from jobhub.contract.jobs import (
    AdminPageView,
    AttemptView,
    CancelRequest,
    CleanUpView,
    ForceCompleteRequest,
    JobTypeView,
    JobView,
    PageView,
    PinRequest,
)
from jobhub.domain.submission import Submission

T = TypeVar("T")
QueryValue = str | int | bool | datetime | UUID | Iterable[str] | None

STREAM_TIMEOUT_SECONDS = 40.0  # the service says something every 15 s


class Calls:
    """The calls, each with the same time for its answer."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds

    def submit(self, submission: Submission, *, key: str) -> Call[JobView]:
        return self._call("POST", "/jobs", JobView, body=_without_defaults(submission), headers={"idempotency-key": key})

    def read(self, job_id: UUID, *, wait_seconds: int = 0, known_version: int | None = None) -> Call[JobView | None]:
        """None: it has the known version still."""
        call = self._call("GET", f"/jobs/{job_id}", JobView, query=_query(wait=wait_seconds or None))
        headers = {"if-none-match": f'"{known_version}"'} if known_version is not None else {}
        request = msgspec.structs.replace(call.request, headers=headers, timeout_seconds=self._timeout_seconds + wait_seconds)
        return Call(request=request, read=lambda answer: None if answer.status == 304 else call.read(answer))

    def page(self, **query: QueryValue) -> Call[PageView]:
        return self._call("GET", "/jobs", PageView, query=_query(**query))

    def cancel(self, job_id: UUID, *, reason: str | None) -> Call[JobView]:
        return self._call("POST", f"/jobs/{job_id}/cancel", JobView, body=CancelRequest(reason=reason))

    def retry(self, job_id: UUID) -> Call[JobView]:
        # Once more might retry a job that has failed again meanwhile.
        return self._call("POST", f"/jobs/{job_id}/retry", JobView, body={}, is_repeatable=False)

    def attempts(self, job_id: UUID) -> Call[list[AttemptView]]:
        return self._call("GET", f"/jobs/{job_id}/attempts", list[AttemptView])

    def job_types(self) -> Call[list[JobTypeView]]:
        return self._call("GET", "/job-types", list[JobTypeView])

    def events(self, path: str) -> Call[None]:
        request = Request(method="GET", path=path, timeout_seconds=STREAM_TIMEOUT_SECONDS)
        return Call(request=request, read=lambda _answer: None, is_stream=True)

    def me(self) -> Call[MeView]:
        return self._call("GET", "/auth/me", MeView)

    def log_in(self, email: str, password: str) -> Call[TokenPair]:
        return self._call("POST", "/auth/token", TokenPair, body=LoginRequest(email=email, password=password), is_public=True)

    def refresh(self, refresh_token: str) -> Call[TokenPair]:
        # A refresh token works once. If the answer to it was lost, asking again costs nothing that is not lost already.
        return self._call("POST", "/auth/refresh", TokenPair, body=RefreshRequest(refresh_token=refresh_token), is_public=True)

    def log_out(self, refresh_token: str) -> Call[None]:
        return self._call("POST", "/auth/logout", None, body=RefreshRequest(refresh_token=refresh_token))

    def page_of_all(self, **query: QueryValue) -> Call[AdminPageView]:
        return self._call("GET", "/jobs/admin/all", AdminPageView, query=_query(**query))

    def statistics(self, window: Window) -> Call[Statistics]:
        return self._call("GET", "/jobs/admin/statistics", Statistics, query=_query(window=window.value))

    def queue_status(self) -> Call[QueueStatus]:
        return self._call("GET", "/jobs/admin/queue-status", QueueStatus)

    def force_complete(self, job_id: UUID, *, result: Mapping[str, Any] | None, reason: str | None) -> Call[JobView]:
        body = ForceCompleteRequest(result=None if result is None else dict(result), reason=reason)
        return self._call("POST", f"/jobs/admin/{job_id}/force-complete", JobView, body=body, is_repeatable=False)

    def pin(self, job_id: UUID, *, reason: str | None) -> Call[JobView]:
        return self._call("PUT", f"/jobs/admin/{job_id}/pin", JobView, body=PinRequest(reason=reason))

    def unpin(self, job_id: UUID, *, reason: str | None) -> Call[JobView]:
        return self._call("DELETE", f"/jobs/admin/{job_id}/pin", JobView, query=_query(reason=reason))

    def clean_up(self, *, days_old: int, include_cancelled: bool, dry_run: bool) -> Call[CleanUpView]:
        query = _query(days_old=days_old, dry_run=dry_run, include="cancelled" if include_cancelled else None)
        # Once more would count what is left, not what was deleted.
        return self._call("DELETE", "/jobs/admin/cleanup", CleanUpView, query=query, is_repeatable=dry_run)

    def users(self) -> Call[list[UserView]]:
        return self._call("GET", "/users", list[UserView])

    def create_user(self, user: NewUserRequest) -> Call[UserView]:
        return self._call("POST", "/users", UserView, body=user, is_repeatable=False)

    def change_user(self, user_id: UUID, changes: ChangeUserRequest) -> Call[UserView]:
        return self._call("PATCH", f"/users/{user_id}", UserView, body=changes)

    def _call(
        self,
        method: str,
        path: str,
        kind: type[T] | Any,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = True,
        is_public: bool = False,
    ) -> Call[Any]:
        content = None if body is None else msgspec.json.encode(body)
        request = Request(
            method=method,
            path=path,
            timeout_seconds=self._timeout_seconds,
            headers={**(headers or {}), **({"content-type": "application/json"} if content is not None else {})},
            query=query,
            body=content,
        )
        return Call(request=request, read=_reader(kind), is_repeatable=is_repeatable, is_public=is_public)


def _reader(kind: Any) -> Callable[[Answer], Any]:
    def read(answer: Answer) -> Any:
        if kind is None:
            return None
        if answer.status >= 300:
            raise UnexpectedAnswer(
                answer.status, f"a redirect to {answer.headers.get('location', 'nowhere')!r}; give the client that address"
            )
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer(answer.status, f"{error} in {answer.body[:100]!r}") from error

    return read


def _without_defaults(submission: Submission) -> dict[str, Any]:
    """As short as it can be said: a field with its default says nothing."""
    fields = {field.name: field for field in msgspec.structs.fields(submission)}
    return {
        name: value
        for name, value in msgspec.structs.asdict(submission).items()
        if fields[name].required or (value is not None and value not in (fields[name].default, [], {}))
    }


def _query(**values: QueryValue) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, value in values.items() for text in _texts(value))


def _texts(value: QueryValue) -> list[str]:
    match value:
        case None:
            return []
        case bool():
            return ["true" if value else "false"]
        case datetime():
            return [value.isoformat()]
        case str() | int() | UUID():
            return [str(value)]
        case _:
            return [str(text) for text in value]
