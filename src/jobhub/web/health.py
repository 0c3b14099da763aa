"""Endpoints for whatever watches over this process: does it live, can it work."""

from litestar import Response, get
from litestar.di import NamedDependency

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.services import readiness
from jobhub.web.problems import RETRY_AFTER_SECONDS
from jobhub.web.resources import Resources
from jobhub.web.schemas import Health

_PUBLIC = {"public": True}


@get("/livez", tags=["operations"], opt=_PUBLIC, security=[{}], summary="Does the process live")
async def livez() -> Health:
    """Always 200: if this doesn't answer, restart the process."""
    return Health(status="ok")


@get("/readyz", tags=["operations"], opt=_PUBLIC, security=[{}], summary="Can the process work")
async def readyz(resources: NamedDependency[Resources]) -> Response[Health]:
    """200 if the database answers and has the schema this version needs, else 503."""
    try:
        found, needed = await readiness.schema_revisions(resources.db)
    except DatabaseUnavailable:
        return _not_ready({"database": "can't be reached", "schema": "unknown"})
    if found != needed:
        return _not_ready({"database": "ok", "schema": f"is at {found}, this version needs {needed}: run `jobhub migrate`"})
    return Response(Health(status="ok", checks={"database": "ok", "schema": found}))


def _not_ready(checks: dict[str, str]) -> Response[Health]:
    return Response(Health(status="unavailable", checks=checks), status_code=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
