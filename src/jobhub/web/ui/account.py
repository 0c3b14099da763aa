"""One's own account: what is used of its limits, and a new password."""

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_303_SEE_OTHER

from jobhub.domain.errors import FieldError, InvalidInput, JobhubError, TooManyAttempts
from jobhub.services import accounts, sessions
from jobhub.web.problems import error_headers, status_of
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.ui.forms import Form
from jobhub.web.ui.rendering import page, see_other
from jobhub.web.ui.session import keep_session

_HERE, _PAGE = "/ui/account", "account.html"


def _again(request: Request[Any, Any, Any], error: JobhubError) -> Response[str]:
    """The form, empty as passwords are, with what was wrong beside its field."""
    errors = {item.pointer: item.detail for item in error.errors} if isinstance(error, InvalidInput) else {"/old": str(error)}
    limits = request.app.state.resources.submissions.limits
    return page(request, _PAGE, usage=None, limits=limits, errors=errors, status_code=status_of(error), headers=error_headers(error))


class AccountController(Controller):
    path = "/account"

    @get()
    async def show(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """Who one is, and what is used."""
        usage = await accounts.get_usage(resources.db, request.user)
        return page(request, _PAGE, usage=usage, limits=resources.submissions.limits, errors={})

    @post("/password", status_code=HTTP_303_SEE_OTHER, exception_handlers={InvalidInput: _again, TooManyAttempts: _again})
    async def change_password(
        self, request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]
    ) -> Response[bytes]:
        """Every other session and login of theirs is over then; this browser stays signed in."""
        if form.text("new") != form.text("repeated"):
            raise InvalidInput([FieldError("/repeated", "differs from the new password")])
        session_id = await sessions.change_password(
            resources.db,
            resources.passwords,
            request.user,
            old=form.text("old"),
            new=form.text("new"),
            client=request.client.host if request.client else None,
            failures_per_address=resources.login_failures_per_address,
            act=act_of(request),
        )
        answer = see_other(_HERE, notice="password-changed")
        keep_session(request, answer, session_id)
        return answer
