"""What a form sends, once it is known that one of our own pages sent it.

Two locks: the origin the browser tells, and a token that stands in each form of the session's pages and nowhere else.
"""

import hmac
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from litestar import Request
from litestar.types import Scope

from jobhub.domain.errors import InvalidInput, NotPermitted, UnsupportedMediaType
from jobhub.services import sessions

MAX_BODY_BYTES = 1024 * 1024  # parameters of the largest kind, each byte written as three
_MAX_FIELDS = 1000
_MEDIA_TYPE = "application/x-www-form-urlencoded"


class Form:
    """The fields of one form, as texts; of those that repeat, all."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """The field's only or last text."""
        return self._fields.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def has(self, name: str) -> bool:
        return name in self._fields


async def provide_form(request: Request[Any, Any, Any]) -> Form:
    """The form of a POST.

    Raises:
        NotPermitted: another site's page sent it, or a page that is too old.
        UnsupportedMediaType, InvalidInput
    """
    check_origin(request.scope)
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise UnsupportedMediaType(media_type[:100])
    form = read_form(await request.body())
    session_id = request.scope["state"].get("session_id")
    if session_id and not hmac.compare_digest(form.text("form_token").encode(), sessions.form_token(session_id).encode()):
        raise NotPermitted("This form is from an older page: load the page again, then try once more.")
    request.scope["state"]["form"] = form
    return form


def read_form(body: bytes) -> Form:
    """The fields of an urlencoded body. Raises InvalidInput: too many, or U+0000 in one."""
    fields: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"):
            fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    except ValueError as error:
        raise InvalidInput(message=f"A form may have {_MAX_FIELDS} fields.") from error
    if any("\0" in text for name, values in fields.items() for text in (name, *values)):
        raise InvalidInput(message="A form must not hold U+0000.")
    return Form(fields)


def check_origin(scope: Scope) -> None:
    """Refuse what the browser says another site's page has sent. Raises NotPermitted.

    A request that says nothing about it comes from no browser of today, and is left to the token.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    if (site := headers.get(b"sec-fetch-site")) is not None:
        is_ours = site in ("same-origin", "none")
    else:
        origin = headers.get(b"origin")
        is_ours = origin is None or urlsplit(origin).netloc == headers.get(b"host")
    if not is_ours:
        raise NotPermitted("This form was sent by a page of another site.")


def own_path(text: str, default: str) -> str:
    """A path of these pages to go back to; anything else becomes the default, so that no link of ours leads elsewhere."""
    is_own = text.startswith("/ui/") and text.isprintable() and text.isascii() and "\\" not in text and "//" not in text
    return text if is_own else default
