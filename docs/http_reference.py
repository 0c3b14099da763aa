"""Makes the page of HTTP calls from the OpenAPI document of the application, so that it can't say anything else than the service does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobhub.app import create_litestar
from jobhub.domain.job_types import Registry
from jobhub.services.tokens import Keys
from jobhub.web.document import completed

_NO_TOKEN_IS_READ = bytes(32)
_Json = dict[str, Any]
_INTRODUCTION = """# HTTP calls

Made from the OpenAPI 3.1 document, which a running server has at `/openapi.json`, with a page to try each call at `/docs`. Errors are
`application/problem+json`; their `code` is for programs.
"""


def write(path: Path) -> None:
    """Write the page; an unchanged one is left alone, so that it is not read anew."""
    litestar = create_litestar(dsn="postgresql://nowhere", keys=Keys(_NO_TOKEN_IS_READ), registry=Registry([]))
    text = "\n".join(_page(completed(litestar.openapi_schema.to_schema())))
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _page(document: _Json) -> Iterator[str]:
    yield _INTRODUCTION
    for tag in document["tags"]:
        yield f"## {tag['name'].capitalize()}\n\n{tag['description']}.\n"
        for route, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation.get("tags", ()):
                    yield from _operation(method, route, operation)
    yield "## Shapes\n\nA field with `?` may be left out.\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from _shape(name, schema)


def _operation(method: str, route: str, operation: _Json) -> Iterator[str]:
    yield f"### {operation['summary']}\n\n```\n{method.upper()} {route}\n```\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    if operation.get("parameters"):
        yield "| parameter | in | type | |\n|---|---|---|---|"
        for parameter in operation["parameters"]:
            words = f"{'needed. ' if parameter.get('required') else ''}{_line(parameter.get('description') or '')}"
            yield f"| `{parameter['name']}` | {parameter['in']} | {_type(parameter['schema'])} | {words} |"
        yield ""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield f"Body: {_type(media['schema'])}\n"
        if "example" in media:
            yield f"```json\n{json.dumps(media['example'], indent=2)}\n```\n"
    yield "| answer | body | headers |\n|---|---|---|"
    for status, response in sorted(operation["responses"].items()):
        bodies = ", ".join(_type(media.get("schema", {})) for media in response.get("content", {}).values())
        headers = ", ".join(f"`{name}`" for name in response.get("headers", {}))
        yield f"| {status} {_line(response['description'])} | {bodies} | {headers} |"
    yield ""


def _shape(name: str, schema: _Json) -> Iterator[str]:
    yield f"(shape-{name.lower()})=\n### {name}\n"
    if schema.get("description"):
        yield f"{schema['description']}\n"
    if "properties" not in schema:
        yield f"{_type(schema)}\n"
        return
    required = schema.get("required", ())
    yield "| field | type |\n|---|---|"
    for field, of_field in schema["properties"].items():
        yield f"| `{field}`{'' if field in required else '?'} | {_type(of_field)} |"
    yield ""


def _type(schema: _Json) -> str:
    """A type in a few words, as a cell of a table takes them."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#shape-{name.lower()})"
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return " or ".join(_type(part) for part in schema[choice])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kinds = schema.get("type") or "anything"
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return f"{words} ({schema['format']})" if "format" in schema else words


def _line(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
