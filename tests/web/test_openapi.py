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
        *(
            "POST /jobs/admin/{job_id}/force-complete",
            "PUT /jobs/admin/{job_id}/pin",
            "DELETE /jobs/admin/{job_id}/pin",
            "GET /users",
            "POST /users",
            "PATCH /users/{user_id}",
        ),
        *("POST /auth/token", "POST /auth/refresh", "POST /auth/logout", "GET /auth/me", "GET /livez", "GET /readyz", "GET /metrics"),
        *("GET /jobs/{job_id}/events", "GET /jobs/events", "POST /auth/ticket"),
    }


async def test_every_reference_leads_somewhere(api):
    response = await api.client.get("/openapi.json")

    document = response.json()
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', response.text))
    assert references
    assert references <= set(document["components"]["schemas"])


async def operations(api):
    """Every operation by method and path."""
    document = (await api.client.get("/openapi.json")).json()
    return {f"{method.upper()} {path}": operation for path, item in document["paths"].items() for method, operation in item.items()}


# Not all there are: one of each kind.
STATUSES = {
    "GET /livez": {200, 400},
    "GET /readyz": {200, 400, 503},
    "GET /jobs/{job_id}/attempts": {200, 400, 401, 404, 503},
    "POST /jobs": {200, 201, 400, 401, 403, 409, 413, 415, 422, 429, 503},
    "POST /jobs/{job_id}/cancel": {200, 400, 401, 404, 409, 413, 415, 503},
    "POST /jobs/admin/{job_id}/force-complete": {200, 400, 401, 403, 404, 409, 413, 415, 503},
    "PUT /jobs/admin/{job_id}/pin": {200, 400, 401, 403, 404, 413, 415, 503},
    "DELETE /jobs/admin/{job_id}/pin": {200, 400, 401, 403, 404, 503},
    "DELETE /jobs/admin/cleanup": {200, 400, 401, 403, 409, 503},
    "GET /users": {200, 400, 401, 403, 503},
    "POST /auth/token": {200, 400, 401, 413, 415, 429, 503},
}


async def test_every_status_an_operation_can_answer_with_is_described(api):
    described = {call: {int(status) for status in operation["responses"]} for call, operation in (await operations(api)).items()}

    assert {call: described[call] for call in STATUSES} == STATUSES


async def test_every_error_is_described_as_the_problem_document_it_is(api, alice):
    problem = (await api.call(alice, "GET", "/jobs?page=0")).json()
    schema = (await api.client.get("/openapi.json")).json()["components"]["schemas"]["Problem"]
    contents = {
        (call, status): list(response["content"])
        for call, operation in (await operations(api)).items()
        for status, response in operation["responses"].items()
        if int(status) >= 400 and (call, status) != ("GET /readyz", "503")
    }

    assert len(contents) > 100
    assert {key: content for key, content in contents.items() if content != ["application/problem+json"]} == {}
    assert set(schema["required"]) <= set(problem) <= set(schema["properties"])


async def test_bodies_and_queries_are_described_as_strictly_as_they_are_read(api):
    document = (await api.client.get("/openapi.json")).json()
    submission = document["components"]["schemas"]["Submission"]
    query = {given["name"]: given["schema"] for given in document["paths"]["/jobs"]["get"]["parameters"]}
    cancel = document["paths"]["/jobs/{job_id}/cancel"]["post"]

    assert submission["additionalProperties"] is False
    assert {"type": "null"} in submission["properties"]["priority"]["anyOf"]
    assert "anyOf" not in submission["properties"]["title"]
    assert query["page"] == {"type": "integer", "minimum": 1}
    assert query["status"]["type"] == "array"
    assert not cancel["requestBody"]["required"]


async def test_the_headers_of_responses_are_described(api):
    described = await operations(api)
    submit = described["POST /jobs"]["responses"]

    assert all("X-Request-Id" in answer["headers"] for operation in described.values() for answer in operation["responses"].values())
    assert "Location" in submit["201"]["headers"]
    assert "Idempotency-Replayed" in submit["200"]["headers"]
    assert "Retry-After" in submit["503"]["headers"]
    assert "WWW-Authenticate" in submit["401"]["headers"]
    assert [given["name"] for given in described["POST /jobs"]["parameters"]] == ["Idempotency-Key"]


async def test_operation_ids_are_names_of_their_own(api):
    ids = [operation["operationId"] for operation in (await operations(api)).values()]

    assert all(re.fullmatch(r"[a-z_]+", name) for name in ids)
    assert len(set(ids)) == len(ids)
    assert {"submit", "read", "cancel", "list_own"} <= set(ids)


async def test_the_example_of_a_submit_can_be_submitted(api, alice):
    body = (await operations(api))["POST /jobs"]["requestBody"]["content"]["application/json"]["example"]

    response = await api.call(alice, "POST", "/jobs", {**body, "job_type": "test.echo", "parameters": {}})

    assert response.status_code == 201


async def test_the_document_is_the_same_wherever_it_is_served(api):
    first, second = [(await api.client.get(path)).json() for path in ("/openapi.json", "/docs/openapi.json")]

    assert first == second


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
    assert all(address.startswith(("/docs/", "/openapi.json")) for address in addresses)
    assert [(await api.client.get(address)).status_code for address in addresses] == [200] * len(addresses)
    assert not re.search(r"https?://(?!api)", page.text.replace("http://www.w3.org", ""))


async def test_no_script_or_style_of_elsewhere_may_run_in_the_page(api):
    page = await api.client.get("/docs")

    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert "script-src" not in policy
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=", page.text)


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
