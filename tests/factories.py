"""Users, jobs, workers and tokens in any state a test needs, made by the shortest way; and job types to run."""

import asyncio
import json
import time
from datetime import datetime
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import uuid_utils.compat

import jobhub
from jobhub.domain.job_types import Registry
from jobhub.domain.jobs import JobStatus
from jobhub.domain.users import Role, User
from jobhub.services import tokens

KEY = b"a key for tests, of more than 32 bytes"
KEYS = tokens.Keys(KEY)
PASSWORD = "correct horse battery staple"


def new_id() -> UUID:
    return uuid_utils.compat.uuid7()


def make_user(sql: psycopg.Connection, email: str, *, role: str = "user", password_hash: str = "$argon2id$no-password-fits") -> User:
    row = sql.execute(
        "INSERT INTO users (id, email, password_hash, role) VALUES (%s, %s, %s, %s) RETURNING id, created_at",
        [new_id(), email, password_hash, role],
    ).fetchone()
    return User(id=row.id, email=email, role=Role(role), disabled=False, created_at=row.created_at)


def make_worker(sql: psycopg.Connection, *, lease_seconds: float = 60, queues: tuple[str, ...] = ("default",)) -> UUID:
    worker_id = new_id()
    sql.execute(
        "INSERT INTO workers (id, host, pid, version, queues, concurrency, lease_until)"
        " VALUES (%s, 'test', 1, '0', %s, 10, now() + make_interval(secs => %s))",
        [worker_id, list(queues), lease_seconds],
    )
    return worker_id


def make_job(
    sql: psycopg.Connection,
    owner: User,
    *,
    status: JobStatus | str = JobStatus.PENDING,
    worker_id: UUID | None = None,
    scheduled_for: datetime | None = None,
    **columns: Any,
) -> UUID:
    """A job in any status, with everything the CHECK constraints ask of it; a running one has a live worker."""
    job_id = new_id()
    status = JobStatus(status)
    is_started = status is not JobStatus.PENDING
    values: dict[str, Any] = {
        "id": job_id,
        "owner_id": owner.id,
        "job_type": "test.echo",
        "queue": "default",
        "title": f"a {status} job",
        "parameters": "{}",
        "status": status.value,
        "due_at": scheduled_for or _now(sql),
        "scheduled_for": scheduled_for,
        "deliver_at": scheduled_for,
        "worker_id": worker_id or (make_worker(sql) if is_started else None),
        "attempt": int(is_started),
        "failed_attempts": int(status is JobStatus.FAILED),
        "started_at": _now(sql) if is_started else None,
        "completed_at": _now(sql) if status.is_finished else None,
        "error_code": "boom" if status is JobStatus.FAILED else None,
        "error_message": "It went boom." if status is JobStatus.FAILED else None,
        "progress_percentage": 100 if status is JobStatus.COMPLETED else 0,
        **columns,
    }
    # Together, or a worker may claim the delivery of a job that is not there yet.
    with sql.transaction():
        if status is JobStatus.PENDING and not scheduled_for and "delivery_id" not in columns:
            delivery = sql.execute(
                "SELECT deliver_job(%s, %s, %s, %s, %s) AS id",
                [job_id, values["job_type"], values["queue"], values.get("priority", 0), owner.id],
            ).fetchone()
            values["delivery_id"] = delivery.id
        names = ", ".join(values)
        sql.execute(f"INSERT INTO jobs ({names}) VALUES ({', '.join(['%s'] * len(values))})", list(values.values()))
        if status is JobStatus.RUNNING:
            sql.execute("INSERT INTO claims (worker_id, job_ids) VALUES (%s, ARRAY[%s::uuid])", [values["worker_id"], job_id])
    return job_id


def _now(sql: psycopg.Connection) -> datetime:
    return sql.execute("SELECT now() AS now").fetchone().now


def job_row(sql: psycopg.Connection, job_id: UUID | str) -> Any:
    """The job's row as it is now."""
    return sql.execute("SELECT * FROM jobs WHERE id = %s", [job_id]).fetchone()


class Api:
    """The API as one user after the other sees it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def call(self, user: User | None, method: str, path: str, body: Any = ..., **options: Any) -> httpx.Response:
        headers = httpx.Headers(options.pop("headers", {}))
        if user and "authorization" not in headers:
            headers["authorization"] = f"Bearer {token(user)}"
        if body is not ...:
            options["content"] = body if isinstance(body, bytes) else json.dumps(body)
            headers.setdefault("content-type", "application/json")
        return await self.client.request(method, path, headers=headers, **options)

    async def submit(self, user: User, **fields: Any) -> dict[str, Any]:
        response = await self.call(user, "POST", "/jobs", {"job_type": "test.echo", "title": "a job", **fields})
        assert response.status_code == 201, response.text
        return response.json()


def token(user: User) -> str:
    return tokens.sign(KEYS, user.id, now=time.time())


class Echo(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    value: Any = None
    number: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


@jobhub.job_type("test.echo")
async def echo(ctx: jobhub.JobContext, params: Echo) -> Any:
    """Return the value."""
    return params.value


@jobhub.job_type("test.sleep", timeout_seconds=60)
async def sleep(ctx: jobhub.JobContext, params: Nothing) -> None:
    """Sleep until stopped."""
    await asyncio.sleep(3600)


@jobhub.job_type("test.admin", audience="admin")
async def admin_only(ctx: jobhub.JobContext, params: Nothing) -> None:
    """For administrators."""


def make_registry(*more: Any) -> Registry:
    """The job types of this file, and others."""
    module = ModuleType("test_handlers")
    for handler in (echo, sleep, admin_only, *more):
        setattr(module, handler.__name__, handler)
    return Registry.from_modules([module])


def leave_indexes_nearly_empty(sql, owner) -> None:
    """One in a hundred of 5,000 jobs stays, spread over all pages."""
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, completed_at)"
        " SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, %s, 'test.echo', 'default', 'x', '{}', now(), 'completed',"
        " now()"
        " FROM generate_series(1, 5000) AS n",
        [owner.id],
    )
    sql.execute("DELETE FROM jobs WHERE right(id::text, 2) <> '50'")
    sql.execute("VACUUM jobs")
