"""Cleaning up: how much it would be, and then doing it."""

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK, HTTP_400_BAD_REQUEST

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.services import clean_up
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.ui.forms import Form
from jobhub.web.ui.rendering import page

_PAGE = "clean_up.html"
MAX_DAYS = 36_500  # as the API's


def _again(request: Request[Any, Any, Any], error: InvalidInput) -> Response[str]:
    """The form with what was wrong."""
    form: Form | None = request.scope["state"].get("form")
    days, cancelled = (form.text(name) if form else request.query_params.get(name, "") for name in ("days_old", "cancelled"))
    wrong = "; ".join(item.detail for item in error.errors) or str(error)
    return page(
        request,
        _PAGE,
        status_code=HTTP_400_BAD_REQUEST,
        days_old=days[:20],
        include_cancelled=cancelled == "1",
        preview=None,
        done=None,
        error=wrong,
    )


class CleanUpController(Controller):
    path = "/admin/clean-up"
    guards = (administrators_only,)
    exception_handlers = {InvalidInput: _again}  # noqa: RUF012 - Litestar's way

    @get()
    async def preview(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """What would be deleted, once the form was sent; before, the form alone."""
        asked = request.query_params
        if "days_old" not in asked:
            return page(request, _PAGE, days_old=30, include_cancelled=False, preview=None, done=None, error=None)
        days_old, include_cancelled = _days(asked.get("days_old", "")), asked.get("cancelled") == "1"
        preview, is_exact = await clean_up.preview(resources.db, days_old=days_old, include_cancelled=include_cancelled)
        chosen: dict[str, Any] = {"days_old": days_old, "include_cancelled": include_cancelled}
        return page(request, _PAGE, **chosen, preview=preview, is_exact=is_exact, done=None, error=None)

    @post(status_code=HTTP_200_OK)
    async def run(self, request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]) -> Response[str]:
        """What was deleted."""
        days_old, include_cancelled = _days(form.text("days_old")), form.text("cancelled") == "1"
        done = await clean_up.clean_up(resources.db, days_old=days_old, include_cancelled=include_cancelled, act=act_of(request))
        return page(request, _PAGE, days_old=days_old, include_cancelled=include_cancelled, preview=None, done=done, error=None)


def _days(text: str) -> int:
    """Raises InvalidInput: no number of days."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= MAX_DAYS):
        raise InvalidInput([FieldError("/days_old", f"must be a whole number from 0 to {MAX_DAYS}")])
    return int(text)
