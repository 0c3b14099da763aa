"""The OpenAPI document and the page that shows it, with every asset served from here."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.static_files import create_static_files_router

from jobhub import __version__
from jobhub.web.document import completed

_ASSETS = "/docs/assets"


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
        openapi_router=Router("/docs", route_handlers=[], opt={"public": True}, include_in_schema=False),
        render_plugins=[
            _Page(),
            _Json(),
        ],
    )


class _Page(SwaggerRenderPlugin):
    """The page at /docs, also where the whole API is mounted under a path."""

    def __init__(self, root: str = "") -> None:
        assets = root + _ASSETS
        super().__init__(
            path="/",
            js_url=f"{assets}/swagger-ui-bundle.js",
            css_url=f"{assets}/swagger-ui.css",
            standalone_preset_js_url=f"{assets}/swagger-ui-standalone-preset.js",
            favicon=f'<link rel="icon" type="image/png" href="{assets}/favicon-32x32.png">',
        )

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return SwaggerRenderPlugin.render(_Page(_root(request)), request, _document(request, openapi_schema))


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

    return create_static_files_router(_ASSETS, [swagger_ui_path], opt={"public": True}, include_in_schema=False)
