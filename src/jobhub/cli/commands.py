"""What the commands do. Each puts together what it needs and nothing else."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from jobhub.cli.state import database_url, secret_keys
from jobhub.domain.errors import NotFound
from jobhub.domain.users import Role, User
from jobhub.logs import configure_logging
from jobhub.services.insight import Thresholds
from jobhub.settings import Settings
from jobhub.store.database import Database

T = TypeVar("T")


def run_serve(settings: Settings) -> int:
    """The API process."""
    from jobhub.app import create_litestar
    from jobhub.domain.limits import Limits
    from jobhub.handlers.registry import load_registry
    from jobhub.server import serve
    from jobhub.services.provider import provider_options
    from jobhub.web.edge import Edge

    configure_logging(settings.log_level)
    registry = load_registry(settings.handlers, demo=settings.demo)
    limits = Limits(
        submits_per_minute=settings.max_submits_per_minute,
        pending_jobs=settings.max_pending_jobs,
        running_jobs=settings.max_running_jobs,
    )
    stopping = asyncio.Event()
    app = create_litestar(
        dsn=database_url(settings),
        keys=secret_keys(settings),
        provider=provider_options(
            jwks_url=settings.jwks_url, issuer=settings.jwks_issuer, audience=settings.jwks_audience, algorithm=settings.jwks_algorithm
        ),
        registry=registry,
        limits=limits,
        streams_per_user=settings.streams_per_user,
        metrics_token=settings.metrics_token,
        login_failures_per_address=settings.max_login_failures_per_address,
        healthy=thresholds(settings),
        stopping=stopping,
    )
    return serve(Edge(app), host=settings.host, port=settings.port, on_stop=stopping.set)


def thresholds(settings: Settings) -> Thresholds:
    """What is healthy by the settings."""
    return Thresholds(
        max_due_seconds=settings.health_max_due_seconds,
        max_promotion_seconds=settings.health_max_promotion_seconds,
        max_rescue_seconds=settings.health_max_rescue_seconds,
        min_workers=settings.health_min_workers,
    )


def run_worker_process(settings: Settings) -> int:
    """A worker process. Handlers find the database's address in JOBHUB_DATABASE_URL, however it was given."""
    import uvloop

    from jobhub.handlers.registry import load_registry
    from jobhub.services.retention import Policy
    from jobhub.worker.service import WorkerOptions, run_worker

    configure_logging(settings.log_level)
    dsn = os.environ["JOBHUB_DATABASE_URL"] = database_url(settings)
    registry = load_registry(settings.handlers, demo=settings.demo)
    options = WorkerOptions(
        dsn=dsn,
        concurrency=settings.concurrency,
        queues=settings.queues,
        grace_seconds=settings.shutdown_grace_seconds,
        max_running_jobs=settings.max_running_jobs,
        retention=Policy(rules=settings.retention, attempts=settings.retention_attempts, audit=settings.retention_audit),
        reindex_hour=settings.reindex_hour,
    )

    async def run() -> None:
        status = await run_worker(options, registry)
        # Without waiting for the tasks of handlers that ignored their cancellation.
        os._exit(status)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run())
        except (SystemExit, KeyboardInterrupt) as error:
            # From a task some handler started: asyncio lets these through, and the status may be 0, as if we had been told to stop.
            structlog.get_logger("jobhub.worker").error("event_loop_ended", exc_info=error)
            os._exit(70)
    return 70


def run_migrate(settings: Settings) -> list[str]:
    """The files that were applied."""
    from jobhub.postgres.migrations import migrate

    return migrate(database_url(settings))


def set_up_reporting(settings: Settings, *, may_read_private: bool, password: str | None) -> str:
    """A sentence on what the role of reports may read now."""
    from jobhub.postgres.reporting_role import ROLE, set_up_reporting_role

    views = set_up_reporting_role(database_url(settings), may_read_private=may_read_private, password=password)
    return f"role {ROLE} reads {len(views)} views, {'private ones too' if may_read_private else 'none of them private'}"


def add_user(settings: Settings, *, email: str, role: str, password: str) -> User:
    """A new account."""
    from jobhub.services import accounts
    from jobhub.services.passwords import Passwords
    from jobhub.store.jobs import Act

    async def act(db: Database) -> User:
        return await accounts.create_user(db, Passwords(), email=email, password=password, role=Role(role), act=Act(actor_id=None))

    return with_database(database_url(settings), act)


def make_token(settings: Settings, *, email: str) -> str:
    """An access token for an account."""
    import time

    from jobhub.services import tokens
    from jobhub.store import users

    keys = secret_keys(settings)

    async def find(db: Database) -> User:
        found = await users.get_user_by_email(db, email)
        if found is None:
            raise NotFound("user", email)
        return found[0]

    return tokens.sign(keys, with_database(database_url(settings), find).id, now=time.time())


def with_database(dsn: str, act: Callable[[Database], Awaitable[T]]) -> T:
    """Run something short on a database."""

    async def run() -> T:
        async with Database.open(dsn, max_size=1, application_name="jobhub cli") as db:
            return await act(db)

    return asyncio.run(run())
