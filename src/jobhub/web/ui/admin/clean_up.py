"""Cleaning up: how much it would be, and then doing it."""

from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.services import clean_up
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest, act_of
from jobhub.web.ui.forms import Form
from jobhub.web.ui.rendering import page

MAX_DAYS = 36_500  # as the API's


class CleanUpController(Controller):
    path = "/admin/clean-up"
    guards = (administrators_only,)

    @get()
    async def preview(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """What would be deleted, once the form was sent; before, the form alone."""
        asked = request.query_params
        if "days_old" not in asked:
            return page(request, "clean_up.html", days_old=30, include_cancelled=False, preview=None, done=None)
        days_old, include_cancelled = _days(asked.get("days_old", "")), asked.get("cancelled") == "1"
        preview, is_exact = await clean_up.preview(resources.db, days_old=days_old, include_cancelled=include_cancelled)
        chosen: dict[str, Any] = {"days_old": days_old, "include_cancelled": include_cancelled}
        return page(request, "clean_up.html", **chosen, preview=preview, is_exact=is_exact, done=None)

    @post(status_code=HTTP_200_OK)
    async def run(self, request: UserRequest, form: NamedDependency[Form], resources: NamedDependency[Resources]) -> Response[str]:
        """What was deleted."""
        days_old, include_cancelled = _days(form.text("days_old")), form.text("cancelled") == "1"
        done = await clean_up.clean_up(resources.db, days_old=days_old, include_cancelled=include_cancelled, act=act_of(request))
        return page(request, "clean_up.html", days_old=days_old, include_cancelled=include_cancelled, preview=None, done=done)


def _days(text: str) -> int:
    """Raises InvalidInput: no number of days."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= MAX_DAYS):
        raise InvalidInput([FieldError("/days_old", f"must be a whole number from 0 to {MAX_DAYS}")])
    return int(text)
