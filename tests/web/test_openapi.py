"""The OpenAPI document and its page: complete, valid in itself, and nothing comes from elsewhere."""

import re

from jobhub import __version__


async def test_the_document_lists_every_call_of_the_contract(api):
    document = (await api.client.get("/openapi.json")).json()

    found = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__
    assert found == {
        *("POST /jobs", "GET /jobs", "GET /jobs/{job_id}", "POST /jobs/{job_id}/cancel", "POST /jobs/{job_id}/retry"),
        *("GET /jobs/{job_id}/attempts", "GET /job-types"),
        *("GET /jobs/admin/all", "GET /jobs/admin/statistics", "GET /jobs/admin/queue-status", "DELETE /jobs/admin/cleanup"),
        *("POST /jobs/admin/{job_id}/force-complete", "GET /users", "POST /users", "PATCH /users/{user_id}"),
        *("POST /auth/token", "POST /auth/refresh", "POST /auth/logout", "GET /auth/me", "GET /livez", "GET /readyz"),
        *("GET /jobs/{job_id}/events", "GET /jobs/events", "POST /auth/ticket"),
    } | {call for call in found if call in PLANNED}


# In the contract, and not there in every version of the program.
PLANNED = {"GET /metrics"}


async def test_every_reference_leads_somewhere(api):
    response = await api.client.get("/openapi.json")

    document = response.json()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert references
    assert references <= set(document["components"]["schemas"])


async def test_the_bodies_are_described_by_their_fields(api):
    schemas = (await api.client.get("/openapi.json")).json()["components"]["schemas"]

    assert set(schemas["Submission"]["properties"]) == {
        *("job_type", "title", "description", "parameters", "priority", "scheduled_for", "tags"),
    }
    assert set(schemas["Submission"]["required"]) == {"job_type", "title"}
    assert {"email", "password", "role"} == set(schemas["NewUserRequest"]["properties"])


async def test_the_page_loads_all_it_needs_from_here(api):
    page = await api.client.get("/docs")

    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert page.headers["content-type"].startswith("text/html")
    assert len(addresses) >= 3
    assert all(address.startswith("/docs/") for address in addresses)
    assert [(await api.client.get(address)).status_code for address in addresses] == [200] * len(addresses)
    assert not re.search(r"https?://(?!api)", page.text.replace("http://www.w3.org", ""))


async def test_no_path_leads_out_of_the_assets(api):
    for path in ("/docs/assets/../../etc/passwd", "/docs/assets/%2e%2e/%2e%2e/__init__.py", "/docs/assets//etc/passwd"):
        assert (await api.client.get(path)).status_code == 404


async def test_conditions_waiting_and_streams_are_described(api):
    paths = (await api.client.get("/openapi.json")).json()["paths"]

    read, events = paths["/jobs/{job_id}"]["get"], paths["/jobs/{job_id}/events"]["get"]
    assert {(given["in"], given["name"]) for given in read["parameters"]} == {
        *(("path", "job_id"), ("query", "wait"), ("header", "If-None-Match")),
    }
    assert set(read["responses"]) >= {"200", "304"}
    assert "ETag" in read["responses"]["200"]["headers"]
    assert read["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobView"}
    assert set(events["responses"]["200"]["content"]) == {"text/event-stream"}
    assert {given["name"] for given in events["parameters"]} == {"job_id", "ticket"}
