"""Every call of the service can be made by the client, and what people do at a terminal by a command; or it is said here why not."""

import contextlib
import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import jobhub.cli.jobs
from jobhub.client import Client, ClientError, Tokens
from tests.client.test_clients import operations
from tests.factories import new_id

pytestmark = pytest.mark.xdist_group("client")

NOT_IN_THE_CLIENT = {
    "POST /auth/ticket": "a ticket is for browsers; the client sends its token with a stream",
    "GET /livez": "for whatever restarts processes",
    "GET /readyz": "for whatever sends traffic to them",
    "GET /metrics": "for Prometheus",
}
NOT_A_COMMAND = {
    "get_page": "`list` goes through the pages",
    "wait_for_change": "`watch` tells changes",
    "list_users": "accounts are looked after on the server, `jobhub users`, on the pages, or by a program",
    "create_user": "`jobhub users add`",
    "change_user": "as `list_users`",
}
ARGUMENTS = {
    "job": new_id(),
    "user_id": new_id(),
    "email": "ada@example.org",
    "password": "correct horse battery",
    "job_type": "demo.sleep",
}


@pytest.fixture
def sent() -> set[str]:
    """Every request the operations of the client send to a service that lets nobody in."""
    found = set()

    def answer(request: httpx.Request) -> httpx.Response:
        found.add(f"{request.method} {re.sub(r'[0-9a-f-]{36}', '{}', request.url.path)}")
        problem = {"type": "", "title": "", "status": 401, "detail": "", "instance": "", "code": "token_expired", "request_id": ""}
        return httpx.Response(401, json=problem, headers={"content-type": "application/problem+json"})

    for name in operations(Client):
        with httpx.Client(transport=httpx.MockTransport(answer)) as http:
            client = Client("http://service", tokens=Tokens("a", refresh_token="b"), patience_seconds=0, http=http)
            method = getattr(client, name)
            needed = {
                parameter.name: ARGUMENTS[parameter.name]
                for parameter in inspect.signature(method).parameters.values()
                if parameter.name in ARGUMENTS
            }
            if name == "wait_for_change":  # it takes a job, as it was read
                needed["job"] = SimpleNamespace(id=ARGUMENTS["job"], version=1)
            with contextlib.suppress(ClientError):
                made = method(**needed)
                if inspect.isgenerator(made):
                    next(made)
    return found


def test_every_call_of_the_service_is_one_of_the_client_or_is_for_somebody_else(jobhub_up, sent):
    paths = httpx.get(f"{jobhub_up.url}/openapi.json", trust_env=False).json()["paths"]
    calls = {f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}" for path, item in paths.items() for method in item}

    assert calls - sent == set(NOT_IN_THE_CLIENT)
    assert sent <= calls


def test_every_operation_of_the_client_is_used_by_a_command_or_has_no_use_there():
    source = "".join(file.read_text() for file in Path(jobhub.cli.jobs.__file__).parent.glob("*.py"))
    used = set(re.findall(r"\bclient\.(\w+)\(", source))

    assert set(operations(Client)) - used == set(NOT_A_COMMAND)
