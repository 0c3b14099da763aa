"""How requests are read: JSON bodies taken literally, query parameters that must be known, one request id.

Litestar alone would take "5" for 5, ignore parameters it doesn't know and report one wrong field of many.
Not here: which fields there are (`web.schemas`) and what an error looks like (`web.problems`).
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import ClientException, InternalServerException
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition

from jobhub.domain.errors import FieldError, InvalidInput, NotFound, UnsupportedMediaType
from jobhub.domain.strict_json import MAX_ERRORS, parse_json
from jobhub.domain.submission import time_text_error
from jobhub.domain.validation import convert_fields, with_faults, without_nulls
from jobhub.store.jobs import IdempotencyKey

Rules = Callable[[dict[str, Any]], Iterable[FieldError]]

_JSON = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
_BODY_VALUE = "jobhub.body_value"  # in the state of the request's scope
_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is parsed and checked as the contract says, before Litestar looks at it.

    A handler with `opt={"read_body": f}` gets `f(request, body)` instead of the plain conversion.
    """

    async def body(self) -> bytes:
        """All of it. Raises ClientException: the client has gone, and nobody will read the answer."""
        try:
            return await super().body()
        except InternalServerException as error:  # its only reason here
            raise ClientException("The client went away before its request was complete.") from error

    async def json(self) -> Any:
        """The body as the type the handler asks for.

        Raises:
            UnsupportedMediaType, PayloadTooLarge, InvalidInput
        """
        body = await self.body()
        check_media_type(self)
        if read_body := self.route_handler.opt.get("read_body"):
            return read_body(self, body)
        data_field = self.route_handler.parsed_data_field
        assert data_field is not None  # Litestar asks for the body of no other handler
        return read_json(body, data_field.annotation)


def parse_body(request: Request[Any, Any, Any], body: bytes) -> tuple[Any, list[FieldError]]:
    """As `parse_json`, and keep the value for `idempotency_key`, which would have to parse the body again."""
    parsed = parse_json(body)
    request.scope["state"][_BODY_VALUE] = parsed[0]
    return parsed


def idempotency_key(request: Request[Any, Any, Any]) -> IdempotencyKey | None:
    """The request's Idempotency-Key with the fingerprint of its body, or None. Raises InvalidInput: not a key, or several.

    The body must have been read by `parse_body`.
    """
    values = request.headers.getall("idempotency-key", [])
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise InvalidInput([FieldError("#Idempotency-Key", "must be given once, with 1 to 200 visible ASCII characters")])
    canonical = msgspec.json.encode(request.scope["state"][_BODY_VALUE], order="deterministic")
    return IdempotencyKey(key=values[0], body_sha256=hashlib.sha256(canonical).digest())


def check_media_type(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that isn't declared as plain JSON. Raises UnsupportedMediaType."""
    media_type = request.headers.get("content-type", "")
    if not _JSON.fullmatch(media_type):
        raise UnsupportedMediaType(media_type[:100])
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(f"{media_type}; content-encoding {encoding[:50]}")


def read_json(body: bytes, into: Any, *, rules: Rules = lambda _fields: ()) -> Any:
    """A body as a Struct. `into` may be `Struct | None`. Raises InvalidInput with every field that is wrong.

    `rules` finds what a type can't say in those fields that have the right type.
    """
    struct = next(
        member for member in (into, *getattr(into, "__args__", ())) if isinstance(member, type) and issubclass(member, msgspec.Struct)
    )
    tree, faults = parse_json(body)
    fields, errors = convert_fields(without_nulls(tree, struct), struct)
    if errors := with_faults(faults, [*errors, *rules(fields)]):
        raise InvalidInput(errors[:MAX_ERRORS])
    return struct(**fields)


class UrlCheck(ASGIMiddleware):
    """Looks at path and query before any handler does. No guard: Litestar copies the handler for each guard of a request.

    Raises:
        NotFound: an id is no canonical UUID; the braces, prefixes and bare digits Python also takes lead nowhere.
        InvalidInput: unknown, empty or wrongly repeated query parameters; all of them.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["path_params"]:
            _check_path(scope)
        if scope["query_string"] and not scope["route_handler"].opt.get("pages"):  # pages read theirs as people type it
            _check_query(ASGIConnection(scope), scope["route_handler"])
        await next_app(scope, receive, send)


def _check_path(scope: Scope) -> None:
    segments = scope["path"].lower().split("/")
    converted: dict[str, Any] = scope["path_params"]
    for name, value in converted.items():
        if isinstance(value, UUID) and str(value) not in segments:
            raise NotFound(name.removesuffix("_id"), value)


def _check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    given = connection.query_params
    known = _query_parameters(handler)
    errors: list[FieldError] = []
    for name in given:
        values = given.getall(name)
        if name not in known:
            errors.append(FieldError(f"?{name[:100]}", "is not a parameter of this route"))
        elif len(values) > 1 and not known[name].is_list:
            errors.append(FieldError(f"?{name}", "must be given once"))
        elif problem := _value_problem(known[name], values):
            errors.append(FieldError(f"?{name}", problem))
    if errors:
        raise InvalidInput(sorted(set(errors), key=lambda error: error.pointer)[:MAX_ERRORS])


def _value_problem(parameter: "_Parameter", values: list[str]) -> str | None:
    for value in values:
        if not value:
            return "must not be empty"
        if "\0" in value:
            return "must not hold U+0000"
        if parameter.is_integer and not (_INTEGER.fullmatch(value) and len(value) < 19):
            return "must be a whole number"
        if parameter.is_time and (problem := time_text_error(value)):
            return problem
    return None


class _Parameter(msgspec.Struct, frozen=True):
    """What has to be known of a query parameter before Litestar converts it, leniently."""

    is_list: bool
    is_integer: bool
    is_time: bool


_known_parameters: WeakKeyDictionary[BaseRouteHandler, dict[str, _Parameter]] = WeakKeyDictionary()


def _query_parameters(handler: BaseRouteHandler) -> dict[str, _Parameter]:
    """The query parameters a handler declares, by the name they have in the URL; worked out once per handler."""
    if handler not in _known_parameters:
        fields = handler.parsed_fn_signature.parameters.items()
        _known_parameters[handler] = {
            field.kwarg_definition.name or name: _parameter(field)
            for name, field in fields
            if isinstance(field.kwarg_definition, QueryParameter)
        }
    return _known_parameters[handler]


def _parameter(field: FieldDefinition) -> _Parameter:
    kinds = {field.annotation, *(inner.annotation for inner in field.inner_types)}
    return _Parameter(is_list=field.is_non_string_sequence, is_integer=int in kinds, is_time=datetime in kinds)
