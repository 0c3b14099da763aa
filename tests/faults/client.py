"""One client of the API, who writes down every call, every answer, and what it saw of jobs."""

import time
from typing import Any
from uuid import UUID

import httpx

from jobhub.domain.users import User
from tests import factories
from tests.faults.history import Answer, Call, History, Seen
from tests.faults.topology import Api

# Longer than any answer may take: who waits in vain has found a bug, not a slow machine.
PATIENCE_SECONDS = 20.0
TOKEN_SECONDS = 300.0


class Client:
    """Talks to one API as one user. For one thread."""

    def __init__(self, name: str, api: Api, user: User, history: History) -> None:
        self.name = name
        self.api = api
        self._user = user
        self._history = history
        self._http = httpx.Client(base_url=api.url, timeout=PATIENCE_SECONDS, trust_env=False)
        self._token, self._token_ends_at = "", 0.0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, job_type: str, title: str, *, seconds: float = 0.0, keyed: bool = True, **fields: Any) -> Call:
        """The title is the key too: one title, one job."""
        body = {"job_type": job_type, "title": title, "parameters": {"seconds": seconds}, **fields}
        headers = {"Idempotency-Key": title} if keyed else {}
        return self._call("submit", "POST", "/jobs", body, title=title, headers=headers)

    def submit_surely(self, job_type: str, title: str, *, seconds: float = 0.0, within: float = 60.0, **fields: Any) -> UUID:
        """Send it again, under the same key, until it is acknowledged; the job's id."""
        deadline = time.monotonic() + within
        while True:
            call = self.submit(job_type, title, seconds=seconds, **fields)
            if call.job_id:
                return call.job_id
            assert time.monotonic() < deadline, f"not accepted within {within} s: {call}"
            time.sleep(0.1)

    def read(self, job_id: UUID) -> Call:
        return self._call("read", "GET", f"/jobs/{job_id}", job_id=job_id)

    def cancel(self, job_id: UUID) -> Call:
        return self._call("cancel", "POST", f"/jobs/{job_id}/cancel", {}, job_id=job_id)

    def retry(self, job_id: UUID) -> Call:
        return self._call("retry", "POST", f"/jobs/{job_id}/retry", {}, job_id=job_id)

    def force_complete(self, job_id: UUID) -> Call:
        return self._call("force_complete", "POST", f"/jobs/admin/{job_id}/force-complete", {}, job_id=job_id)

    def clean_up(self, *, days_old: int) -> Call:
        """For administrators: completed and cancelled jobs."""
        return self._call("clean_up", "DELETE", f"/jobs/admin/cleanup?days_old={days_old}&include=cancelled")

    def _call(
        self,
        verb: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        job_id: UUID | None = None,
        title: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Call:
        asked_at = time.monotonic()
        response: httpx.Response | None = None
        error = ""
        try:
            response = self._http.request(method, path, json=body, headers=self._authorization() | (headers or {}))
        except httpx.HTTPError as raised:
            error = type(raised).__name__
        seen = _seen(response)
        call = Call(
            client=self.name,
            verb=verb,
            asked_at=asked_at,
            answered_at=time.monotonic(),
            answer=_answer(response),
            status=response.status_code if response else None,
            has_retry_after=response is not None and "retry-after" in response.headers,
            job_id=seen.job_id if seen else job_id,
            title=title,
            seen=seen,
            error=error,
        )
        self._history.add(call)
        return call

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() > self._token_ends_at:
            self._token, self._token_ends_at = factories.token(self._user), time.monotonic() + TOKEN_SECONDS
        return {"Authorization": f"Bearer {self._token}"}


def _answer(response: httpx.Response | None) -> Answer:
    if response is None or response.status_code >= 500:
        return Answer.UNKNOWN
    return Answer.OK if response.status_code < 400 else Answer.REFUSED


def _seen(response: httpx.Response | None) -> Seen | None:
    if response is None or response.status_code not in (200, 201):
        return None
    body = response.json()
    if "id" not in body:  # not about one job
        return None
    return Seen(
        job_id=UUID(body["id"]),
        status=body["status"],
        version=body["version"],
        attempt=body["attempt"],
        cancel_requested=body["cancel_requested_at"] is not None,
        result=body["result"],
    )
