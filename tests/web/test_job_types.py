"""The list of job types over HTTP, with those that ship with jobhub."""

import httpx

from jobhub.app import create_litestar
from jobhub.handlers.registry import load_registry
from jobhub.web.edge import Edge
from tests import factories
from tests.conftest import running_lifespan


async def test_the_built_in_job_types_are_listed_with_schema_and_defaults(dsn, admin):
    litestar = create_litestar(dsn=dsn, keys=factories.KEYS, registry=load_registry([], demo=True))
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answer = await factories.Api(client).call(admin, "GET", "/job-types")

    assert answer.status_code == 200, answer.text
    listed = {job_type["name"]: job_type for job_type in answer.json()}
    assert {"http.request", "report.query", "demo.sleep", "demo.steps", "demo.fail", "demo.crash"} <= set(listed)
    assert listed["http.request"]["defaults"]["method"] == "GET"
    # Leaving `json` out sends no body, which no default can say.
    assert "json" not in listed["http.request"]["defaults"]
