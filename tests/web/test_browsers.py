"""What browsers are told on every kind of answer: careful headers, and nothing for pages of other origins."""

import pytest

from tests import factories

ORIGINS = ["https://evil.example", "null", "http://api", "http://api.evil.example", "http://apiXexample"]
CAREFUL = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}


async def kinds_of_answers(api, alice, headers):
    """One answer of each status that needs no outage."""
    big = b'{"title": "' + b"x" * 300_000 + b'"}'
    return [
        await api.call(alice, "GET", "/jobs", headers=headers),
        await api.call(None, "GET", "/docs", headers=headers),
        await api.call(None, "GET", "/jobs", headers=headers),
        await api.call(alice, "GET", "/jobs/admin/all", headers=headers),
        await api.call(alice, "GET", f"/jobs/{factories.new_id()}", headers=headers),
        await api.call(alice, "DELETE", "/jobs", headers=headers),
        await api.call(alice, "POST", "/jobs", big, headers=headers),
        await api.call(alice, "POST", "/jobs", b"{}", headers={**headers, "content-type": "text/plain"}),
        await api.call(alice, "OPTIONS", "/jobs", headers={**headers, "access-control-request-method": "POST"}),
    ]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_every_answer_is_careful_and_none_is_for_another_origin(api, alice, origin):
    answers = await kinds_of_answers(api, alice, {"origin": origin})

    assert [answer.status_code for answer in answers] == [200, 200, 401, 403, 404, 405, 413, 415, 204]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in CAREFUL} == CAREFUL
        assert [name for name in answer.headers if name.startswith("access-control-")] == []


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"host": "api:99999"}, {"x-forwarded-host": "evil.example"}])
async def test_no_host_header_changes_where_a_location_leads(api, alice, headers):
    answer = await api.call(alice, "POST", "/jobs", {"job_type": "test.echo", "title": "a job"}, headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (201, f"/jobs/{answer.json()['id']}")
