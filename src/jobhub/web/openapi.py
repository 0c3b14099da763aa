"""The OpenAPI document and the page that shows it, with every asset served from here."""

from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.static_files import create_static_files_router

from jobhub import __version__
from jobhub.web.document import completed

_ASSETS = "/docs/assets"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: every call</title>
<link rel="icon" type="image/png" href="{assets}/favicon-32x32.png">
<link rel="service-desc" type="application/json" href="{root}/openapi.json">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
<div id="calls"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{assets}/page.js"></script>
</html>
"""
# Swagger UI has pictures in its style sheet, and styles on what it makes.
_CONTENT_SECURITY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def openapi_config() -> OpenAPIConfig:
    """The page is at /docs, the document at /openapi.json (see `openapi_json`)."""
    return OpenAPIConfig(
        title="jobhub",
        version=__version__,
        description="Submit background jobs, watch them, read their results.",
        path="/docs",
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="From POST /auth/token")
            }
        ),
        security=[{"bearer": []}],
        tags=[
            Tag("jobs", "Your own jobs"),
            Tag("administration", "Everybody's jobs; role admin"),
            Tag("accounts", "Logging in, and accounts"),
            Tag("operations", "For monitoring"),
        ],
        openapi_router=Router(
            "/docs",
            route_handlers=[],
            opt={"public": True},
            include_in_schema=False,
            response_headers={"Content-Security-Policy": _CONTENT_SECURITY},
        ),
        render_plugins=[
            _Page(path="/"),
            _Json(),
        ],
    )


class _Page(OpenAPIRenderPlugin):
    """The page at /docs, also where the whole API is mounted under a path."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE.format(title=openapi_schema["info"]["title"], root=_root(request), assets=_root(request) + _ASSETS).encode()


class _Json(JsonRenderPlugin):
    """The document once more, where Litestar would put its own."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, _document(request, openapi_schema))


@get("/openapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The OpenAPI 3.1 document."""
    return Response(_document(request, request.app.openapi_schema.to_schema()))


def _document(request: Request[Any, Any, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return completed(schema) | {"servers": [{"url": _root(request) or "/"}]}


def _root(request: Request[Any, Any, Any]) -> str:
    """The path the API is mounted under."""
    return request.scope.get("root_path", "")


def assets_router() -> Router:
    """The files of the page at /docs, from the package that carries them."""
    from swagger_ui_bundle import swagger_ui_path

    return create_static_files_router(
        _ASSETS, [swagger_ui_path, Path(__file__).parent / "calls"], opt={"public": True}, include_in_schema=False
    )
