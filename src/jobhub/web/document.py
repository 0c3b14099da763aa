"""What the OpenAPI document has to say that Litestar can't find out: errors, headers, one key that is read by hand, examples.

Rules, not a list of routes: a new route is described without being named here. Not here: how strictly what comes in is read
(`web.inputs`), where the document is served (`web.openapi`).
"""

import copy
import http
from collections.abc import Iterator
from typing import Any

import msgspec

from jobhub.contract.problems import PROBLEM_JSON, Problem
from jobhub.web.inputs import describe_inputs

_Operation = dict[str, Any]

_MEANINGS = {
    400: "Malformed or invalid; `errors` names every place",
    401: "No token, or one that is not accepted",
    403: "Not for you",
    404: "Not there, or not yours",
    409: "Not possible as things are; `job_status` is the job's status where that is the reason",
    413: "The body has more than 256 KiB, or its `parameters` more than 128",
    415: "The body is not declared as plain JSON",
    422: "The Idempotency-Key was used with another body",
    429: "Too much, or too often; `code` names the limit",
    503: "The database is away",
}
# Beside those every operation of its kind has; by operation id.
_OWN_ERRORS = {
    "submit": (403, 409, 422, 429),
    "cancel": (409,),
    "retry": (409,),
    "force_complete": (409,),
    "clean_up": (409,),
    "log_in": (401, 429),
    "refresh": (401,),
    "create_user": (409,),
    "change_user": (409,),
    "metrics": (401,),
    "follow": (429,),
    "follow_own": (429,),
}
_WITHOUT_DATABASE = {"livez", "readyz", "metrics"}  # or they answer for it in their own words

_HEADERS = {
    "X-Request-Id": "Finds the request in our logs",
    "Idempotency-Replayed": "`true`: the job was submitted before, with the same key and body",
    "Retry-After": "Seconds",
    "WWW-Authenticate": "RFC 6750",
}
_HEADERS_OF = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_EXAMPLES: dict[str, Any] = {
    "submit": {
        "job_type": "http.request",
        "title": "Ping the shop",
        "parameters": {"url": "https://api.example.org/ping"},
        "tags": ["shop"],
    },
    "cancel": {"reason": "No longer needed"},
    "force_complete": {"result": {"invoice": 4711}, "reason": "Done by hand"},
    "pin": {"reason": "The auditors want to see it"},
    "log_in": {"email": "you@example.org", "password": "correct horse battery staple"},
    "create_user": {"email": "you@example.org", "password": "correct horse battery staple", "role": "user"},
    "change_user": {"disabled": True},
}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes it safe to send the request again: one key makes one job",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """A copy that says all of it."""
    document = copy.deepcopy(document)
    _, schemas = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] |= schemas
    for path, item in document["paths"].items():
        for operation in item.values():
            _complete(operation, path)
            describe_inputs(operation, document["components"]["schemas"])
    return document


def _complete(operation: _Operation, path: str) -> None:
    name, responses = operation["operationId"], operation["responses"]
    responses.pop("400", None)  # Litestar's own, which nobody gets
    responses |= {str(status): _problem(status) for status in sorted(set(_error_statuses(operation, path)))}
    if name == "submit":
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
        headers = responses["201"]["headers"] | _headers("Idempotency-Replayed")
        responses["200"] = {**responses["201"], "description": "As 201, repeated", "headers": headers}
    if name == "readyz":
        responses["503"] = {**responses["200"], "description": "Not yet, or not now", "headers": _headers("Retry-After")}
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **_headers("X-Request-Id")}
    if name in _EXAMPLES:
        operation["requestBody"]["content"]["application/json"]["example"] = _EXAMPLES[name]


def _error_statuses(operation: _Operation, path: str) -> Iterator[int]:
    name = operation["operationId"]
    yield 400  # every route refuses parameters it doesn't know
    if {} not in operation.get("security", ()):
        yield 401
    if path.startswith(("/users", "/jobs/admin/")):
        yield 403
    if "{" in path:
        yield 404
    if "requestBody" in operation:
        yield from (413, 415)
    if name not in _WITHOUT_DATABASE:
        yield 503
    yield from _OWN_ERRORS.get(name, ())


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": f"{http.HTTPStatus(status).phrase}. {_MEANINGS[status]}",
        "headers": _headers(*_HEADERS_OF.get(status, ())),
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "integer" if name == "Retry-After" else "string"}} for name in names}
