"""Bytes that are no HTTP, or odd HTTP, over real sockets to a real `jobhub serve`.

The cases are those of B-35, B-37, B-39, B-74 and B-75 in the team's list of bad input, and what goes wrong beside them.
"""

import base64
import json

import psycopg
import pytest

from tests.acceptance.service import wait_for
from tests.acceptance.serving import read_to_the_end, serving, statuses
from tests.factories import make_user, new_id, token

HOST = b"Host: a\r\n"
END = b"\r\n"
LIVE = b"GET /livez HTTP/1.1\r\n" + HOST + END
LAST = b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + END
JSON = b"Content-Type: application/json\r\n"
REFRESH = b"POST /auth/refresh HTTP/1.1\r\n" + HOST + JSON
# Well-formed, so that the database is asked, and nobody's: a 401 that takes a while.
BODY = b'{"refresh_token": "%s"}' % base64.urlsafe_b64encode(bytes(48))
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"

pytestmark = pytest.mark.xdist_group("raw http")  # one process for all of them


@pytest.fixture(scope="module")
def address(databases, template):
    with databases.create(template) as (_, dsn):
        yield dsn


@pytest.fixture(scope="module")
def served(address):
    with serving(address, JOBHUB_DEMO="1") as served:
        yield served


# What is sent, in pieces, and the statuses of the answers. After each of them the server closes the connection.
CASES = {
    "a negative length": ([REFRESH + b"Content-Length: -5\r\n\r\n" + BODY], [400]),
    "a length in words": ([REFRESH + b"Content-Length: five\r\n\r\n" + BODY], [400]),
    "a length of more digits than a number has": ([REFRESH + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n"], [400]),
    "a body longer than its length": ([REFRESH + b"Content-Length: 5\r\n\r\n" + BODY], [400, 400]),
    "two lengths": ([REFRESH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY], [400]),
    "a length, then chunks": ([REFRESH + LENGTH + CHUNKED + b"\r\n0\r\n\r\n" + LIVE], [400]),
    "chunks, then a length": ([REFRESH + CHUNKED + LENGTH + b"\r\n0\r\n\r\n" + LIVE], [400]),
    "an encoding after the chunks": ([REFRESH + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"], [400]),
    "a chunk without a size": ([REFRESH + CHUNKED + b"\r\n", b"ZZ\r\n"], [400]),
    "a body that is announced as too large": ([REFRESH + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"], [413]),
    "a body without an end": ([REFRESH + CHUNKED + END, *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 20], [413]),
    "a field of 16 KiB": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 16384 + b"\r\n\r\n"], [431]),
    "fields of 16 KiB together": ([b"GET /livez HTTP/1.1\r\n" + HOST + (b"X: " + b"a" * 400 + b"\r\n") * 41 + END], [431]),
    "a field without an end": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: ", *[b"a" * 65536] * 20], [431]),
    "200 fields": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200 + END], [431]),
    "trailers without an end": ([REFRESH + CHUNKED + b"\r\n1\r\na\r\n0\r\n", *[b"X: " + b"a" * 4000 + b"\r\n"] * 20], [431]),
    "a target of 64 KiB": ([b"GET /livez?" + b"a" * 65536 + b" HTTP/1.1\r\n" + HOST + END], [414]),
    "a target without an end": ([b"GET /", *[b"a" * 65536] * 20], [414]),
    "no host": ([b"GET /livez HTTP/1.1\r\n\r\n"], [400]),
    "two hosts": ([b"GET /livez HTTP/1.1\r\n" + HOST + HOST + END], [400]),
    "no host in HTTP/1.0": ([b"GET /livez HTTP/1.0\r\n\r\n"], [200]),
    "TLS": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], [400]),
    "a method nobody knows": ([b"FOO /jobs HTTP/1.1\r\n" + HOST + END], [400]),
    "a path in Latin-1": ([b"GET /jobs/\xe9 HTTP/1.1\r\n" + HOST + END], [400]),
    "NUL in a field": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n"], [400]),
    "a line folded": ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"], [400]),
    "several requests at once": ([LIVE + b"GET /nothing HTTP/1.1\r\n" + HOST + END + LAST], [200, 404, 200]),
    "rubbish after a request": ([LIVE + b"RUBBISH\r\n\r\n" + LIVE], [200, 400]),
    "rubbish after a slow request": ([REFRESH + LENGTH + END + BODY + b"RUBBISH\r\n\r\n" + LIVE, LIVE], [401, 400]),
    "a bad length after a slow request": ([REFRESH + LENGTH + END + BODY + REFRESH + b"Content-Length: -1\r\n\r\n" + LIVE], [401, 400]),
    "a bad chunk after a slow request": ([REFRESH + LENGTH + END + BODY + LIVE + REFRESH + CHUNKED + b"\r\nZZ\r\n"], [401, 200, 400]),
    "HEAD and a request after it": ([b"HEAD /livez HTTP/1.1\r\n" + HOST + END + LAST], [200, 200]),
    "HEAD of what is not there": ([b"HEAD /nothing HTTP/1.1\r\n" + HOST + END + LAST], [404, 200]),
    "an upgrade": ([b"GET /livez HTTP/1.1\r\n" + HOST + H2C + END + LAST], [200, 200]),
    "an upgrade with a body": ([REFRESH + H2C + LENGTH + END + BODY + LAST], [401, 200]),
    "an upgrade with a body that comes later": ([REFRESH + H2C + LENGTH + END, BODY + LAST], [401, 200]),
    "an upgrade with a request as its body": ([REFRESH + H2C + b"Content-Length: %d\r\n\r\n" % len(LIVE), LIVE + LAST], [400, 200]),
    "everything at a path": ([b"OPTIONS /jobs HTTP/1.1\r\n" + HOST + END + LAST], [204, 200]),
}


def test_each_of_them_is_answered_precisely_and_in_its_turn(served):
    found = {name: statuses(served.answer(*pieces)) for name, (pieces, _) in CASES.items()}

    assert found == {name: expected for name, (_, expected) in CASES.items()}


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([b"RUBBISH\r\n\r\n"], "malformed_http"),
        ([b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + END], "target_too_long"),
        ([b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 100 + END], "head_too_large"),
        ([REFRESH + b"Content-Length: 999999999\r\n\r\n"], "payload_too_large"),
    ],
)
def test_a_refusal_is_a_problem_document_like_every_other(served, pieces, code):
    head, _, body = served.answer(*pieces).partition(b"\r\n\r\n")

    fields = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    problem = json.loads(body)
    assert problem["code"] == code
    assert fields["content-type"] == "application/problem+json"
    assert fields["connection"] == "close"
    assert problem["request_id"] == fields["x-request-id"]
    assert fields["x-content-type-options"] == "nosniff"


def test_a_head_may_have_all_but_its_limits(served):
    fields = b"X: a\r\n" * 98
    long = b"X: " + b"a" * 15_000 + b"\r\n"

    for head in (fields, long):
        assert statuses(served.answer(b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + head + END)) == [200]
    assert statuses(served.answer(b"GET /livez?" + b"a" * 8000 + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + END)) == [400]


def test_a_body_is_asked_for_only_if_it_may_come(served):
    asked = served.answer(REFRESH + b"Expect: 100-continue\r\nConnection: close\r\n" + LENGTH + END, BODY)
    refused = served.answer(REFRESH + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")

    assert (statuses(asked), statuses(refused)) == ([100, 401], [413])


def test_a_body_that_goes_wrong_after_the_answer_gets_no_second_one(served):
    with served.connect() as connection:
        connection.sendall(b"POST /jobs HTTP/1.1\r\n" + HOST + JSON + CHUNKED + END)
        first = b""
        while not first.endswith(b"}"):
            first += connection.recv(65536)
        connection.sendall(b"ZZ\r\n")

        assert (statuses(first), read_to_the_end(connection)) == ([401], b"")


def test_head_has_the_length_of_get_and_no_body(served):
    headed, got = [served.answer(method + LAST[3:]).partition(b"\r\n\r\n") for method in (b"HEAD", b"GET")]

    assert headed[2] == b""
    assert b"content-length: %d\r\n" % len(got[2]) in headed[0]


def test_many_upgrades_in_one_piece_are_answered_one_by_one(served):
    many = (b"GET /livez HTTP/1.1\r\n" + HOST + H2C + END) * 1500

    assert statuses(served.answer(many + LAST)) == [200] * 1501


@pytest.fixture
def submit(address):
    """The bytes of a submit, by somebody new, and how many jobs there are of theirs."""
    with psycopg.connect(address, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as sql:
        user = make_user(sql, f"{new_id()}@example.org")
        body = json.dumps({"job_type": "demo.sleep", "title": "never mind", "parameters": {"seconds": 0}}).encode()
        head = b"POST /jobs HTTP/1.1\r\n" + HOST + JSON + f"Authorization: Bearer {token(user)}\r\n".encode()
        yield (
            head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            lambda: sql.execute("SELECT count(*) AS jobs FROM jobs WHERE owner_id = %s", [user.id]).fetchone().jobs,
        )


def counted(served, route: str) -> int:
    """Responses to POST on a route, whatever their status."""
    lines = [line for line in served.metrics().splitlines() if line.startswith("jobhub_http_requests_total{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if 'method="POST"' in line and f'route="{route}"' in line)


@pytest.mark.parametrize("cut", [-1, -20], ids=["last byte", "half the body"])
def test_a_client_that_goes_away_in_the_middle_of_its_body_has_submitted_nothing(served, submit, cut):
    request, jobs = submit
    before = counted(served, "/jobs")

    with served.connect() as connection:
        connection.sendall(request[:cut])

    wait_for(lambda: counted(served, "/jobs") > before, seconds=20)
    assert jobs() == 0


def test_a_client_that_goes_away_before_the_answer_has_submitted_once_or_not_at_all(served, submit):
    request, jobs = submit
    before = counted(served, "/jobs")

    with served.connect() as connection:
        connection.sendall(request)

    wait_for(lambda: counted(served, "/jobs") > before, seconds=20)
    assert jobs() in (0, 1)


def test_a_client_that_sends_no_more_and_listens_gets_no_half_answer(served):
    assert statuses(served.answer(REFRESH + b"Content-Length: 100\r\n\r\n" + BODY, half_close=True)) == []


def test_none_of_it_is_a_bug_or_fills_the_log(served):
    """Runs last: what all of this file did to one process."""
    test_each_of_them_is_answered_precisely_and_in_its_turn(served)

    assert served.log == ""
    assert 'status="5' not in served.metrics()
