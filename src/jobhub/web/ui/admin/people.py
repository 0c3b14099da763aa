"""Accounts with what they use of their limits, and disabling them; the audit log."""

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.status_codes import HTTP_303_SEE_OTHER

from jobhub.services import accounts, audit
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.schemas import utc_now
from jobhub.web.ui.forms import Form
from jobhub.web.ui.rendering import page, see_other

PER_PAGE = 50
_USERS = "/ui/admin/users"


class PeopleController(Controller):
    path = "/admin"
    guards = (administrators_only,)

    @get("/users")
    async def users(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """Oldest first; `?q=` looks in addresses."""
        text = request.query_params.get("q", "").strip()[:254]
        found = [user for user in await accounts.list_users(resources.db) if text.lower() in user.email.lower()]
        number = _number(request.query_params.get("page", ""), default=1)
        shown = found[(number - 1) * PER_PAGE : number * PER_PAGE]
        return page(
            request,
            "users.html",
            q=text,
            users=shown,
            usage=await accounts.usage_of(resources.db, shown),
            limits=resources.submissions.limits,
            total=len(found),
            number=number,
            has_next=len(found) > number * PER_PAGE,
            today=utc_now(),
        )

    @post("/users/{user_id:uuid}/disable", status_code=HTTP_303_SEE_OTHER)
    async def disable(
        self,
        request: UserRequest,
        user_id: FromPath[UUID],
        form: NamedDependency[Form],
        resources: NamedDependency[Resources],
    ) -> Response[Any]:
        """Asked first. Signed out everywhere at once then; pending jobs are cancelled, running ones finish."""
        if form.text("confirmed") != "1":
            email = await accounts.email_of(resources.accounts, user_id)
            usage = await accounts.get_usage_of(resources.db, user_id)
            return page(request, "disable.html", user_id=user_id, email=email, usage=usage)
        await accounts.change_user(resources.db, resources.passwords, user_id, role=None, password=None, disabled=True, act=act_of(request))
        return see_other(_USERS, notice="disabled")

    @post("/users/{user_id:uuid}/enable", status_code=HTTP_303_SEE_OTHER)
    async def enable(
        self,
        request: UserRequest,
        user_id: FromPath[UUID],
        form: NamedDependency[Form],  # noqa: ARG002 - its token is checked
        resources: NamedDependency[Resources],
    ) -> Response[bytes]:
        """They may come again; what was cancelled stays so."""
        await accounts.change_user(
            resources.db, resources.passwords, user_id, role=None, password=None, disabled=False, act=act_of(request)
        )
        return see_other(_USERS, notice="enabled")

    @get("/audit-log")
    async def audit_log(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """Newest first; `?before=` goes on."""
        before = _number(request.query_params.get("before", ""), default=0)
        entries, following = await audit.list_audit_log(resources.db, before_id=before or None)
        return page(request, "audit_log.html", entries=entries, following=following, is_first=not before)


def _number(text: str, *, default: int) -> int:
    """A whole number of an address, or the default for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else default
