"""`GET /metrics` for Prometheus.

Not here: counting responses (`web.counting`), figures of the database and what they are called (`services.figures`, `web.exposition`).
"""

import hmac
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.types import Scope
from prometheus_client.exposition import generate_latest

from jobhub.domain.errors import Unauthenticated
from jobhub.web.auth import bearer_token
from jobhub.web.exposition import Families
from jobhub.web.resources import Resources

_MEDIA_TYPE = "text/plain; version=0.0.4"  # Litestar adds the charset


@get("/metrics", tags=["operations"], opt={"public": True}, security=[{}], media_type="text/plain", summary="Figures for Prometheus")
async def metrics(request: Request[Any, Any, Any], resources: NamedDependency[Resources]) -> Response[bytes]:
    """Of this process and, as every API process tells them, of the queue. Needs `JOBHUB_METRICS_TOKEN` as bearer token where that is set.

    Never fails or waits because of the database: without it `jobhub_database_up` is 0.
    """
    if resources.metrics_token is not None:
        _check_token(request.scope, resources.metrics_token)
    families = Families(await resources.figures.read(), resources.db.pool_use())
    return Response(generate_latest(resources.responses.registry) + generate_latest(families), media_type=_MEDIA_TYPE)


def _check_token(scope: Scope, expected: str) -> None:
    """Raises Unauthenticated. Takes the same time wherever the first wrong character is."""
    if not hmac.compare_digest(bearer_token(scope).encode("latin-1"), expected.encode()):
        raise Unauthenticated("This is not the token for metrics.", code="invalid_token")
