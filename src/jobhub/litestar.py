"""jobhub inside a Litestar application of your own: its API under a path of yours, for users you know already.

    app = Litestar(plugins=[JobhubPlugin(dsn=…, secret_key=…, handlers=["shop_jobs"], user=who_asks)])

docs/embedding.md is the guide. Workers are processes of their own, as ever: `jobhub worker`. Not here: the API itself (`app`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from jobhub.app import create_litestar
from jobhub.domain.errors import Unauthenticated
from jobhub.domain.limits import NO_LIMITS, Limits
from jobhub.domain.users import Role, User
from jobhub.handlers.registry import load_registry
from jobhub.services import accounts
from jobhub.services.tokens import Keys, check_secret
from jobhub.web.edge import Edge
from jobhub.web.resources import Resources


class HostUser(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody your application knows. The first time they come they get an account without a password, by their e-mail address."""

    email: str
    is_admin: bool = False


WhoAsks = Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[HostUser | None]]


class JobhubPlugin(InitPlugin):
    """Mounts the API at `path`; `user` says who sends a request, or None, which is answered with 401.

    `user` sees the connection as your own handlers do: with headers and cookies, and the session and `user` your middleware put there.
    `dsn` is a migrated database. `secret_key`, of at least 32 bytes, signs cursors, and must be the same in all processes.

    Raises:
        OperatorError: a handler's module can't be imported, or the key is too short.
    """

    def __init__(
        self,
        *,
        dsn: str,
        secret_key: str,
        user: WhoAsks,
        handlers: Iterable[str] = (),
        path: str = "/jobhub",
        limits: Limits = NO_LIMITS,
        streams_per_user: int = 10,
    ) -> None:
        self._user = user
        self._path = path
        self._api = create_litestar(
            dsn=dsn,
            keys=Keys(check_secret(secret_key, "secret_key")),
            registry=load_registry(handlers, demo=False),
            limits=limits,
            streams_per_user=streams_per_user,
            who_asks=self._who_asks,
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        edge = Edge(self._api)

        @asgi(self._path, is_mount=True, copy_scope=True, name="jobhub")
        async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
            # As ASGI has it: the path is the whole one, and root_path that part of it which leads here.
            scope["root_path"] = scope.get("root_path", "") + self._path
            scope["path"] = self._path + scope["path"]
            await edge(scope, receive, send)

        app_config.route_handlers.append(mounted)
        app_config.lifespan.append(self._running)
        return app_config

    @asynccontextmanager
    async def _running(self, _host: Litestar) -> AsyncIterator[None]:
        """What the API needs, for as long as the application runs."""
        async with self._api.lifespan():
            yield

    async def _who_asks(self, scope: Scope, resources: Resources) -> User:
        guest = await self._user(ASGIConnection(scope))
        if guest is None:
            raise Unauthenticated("Log in to the application first.")
        user = await accounts.get_or_create(resources.db, guest.email)
        if user.disabled:
            raise Unauthenticated("This account is disabled.", code="invalid_token")
        return msgspec.structs.replace(user, role=Role.ADMIN if guest.is_admin else Role.USER)
