"""The style sheet, the modules and the icon of the pages, read once and sent with a tag, so that a browser fetches them again only when
they have changed."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from jobhub.domain.errors import NotFound

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All of them, by name."""
    found = {}
    for file in files("jobhub.web.ui").joinpath("static").iterdir():
        kind = file.name.rpartition(".")[2]
        if kind in _TYPES:
            content = file.read_bytes()
            found[file.name] = Asset(content, _TYPES[kind], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


@get("/static/{name:str}", opt={"public": True}, sync_to_thread=False)
def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """One file."""
    found = assets().get(name)
    if found is None:
        raise NotFound("file", name)
    headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)
