import struct

import pytest

from tests.faults.protocol import Backend, Frontend, statement_name

STARTUP = struct.pack("!II", 8 + 11, 196608) + b"user\0alice\0"
SSL_REQUEST = struct.pack("!II", 8, 80877103)


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


PARSE = message(b"P", b"stmt_1\0/* submit_job */ INSERT\0\0\0")
BIND = message(b"B", b"\0stmt_1\0\0\0\0\0\0\0")
EXECUTE = message(b"E", b"\0\0\0\0\0")
SYNC = message(b"S")


def started() -> Frontend:
    frontend = Frontend()
    assert list(frontend.feed(STARTUP)) == [(STARTUP, None)]
    return frontend


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (b"/* claim_jobs */ WITH due AS (", "claim_jobs"),
        (b" COMMIT;", "commit"),
        (b"SELECT 1 /* not_here */", "select"),
        (b";", ""),
    ],
)
def test_a_statement_is_called_by_its_comment_or_its_first_word(sql: bytes, name: str) -> None:
    assert statement_name(sql) == name


def test_the_sync_after_an_execute_decides_the_statement_that_was_bound() -> None:
    frontend = started()

    found = list(frontend.feed(PARSE + SYNC + BIND + EXECUTE + SYNC + SYNC))

    assert [statement for _, statement in found] == [None, None, None, None, "submit_job", None]


def test_a_query_decides_itself() -> None:
    assert [name for _, name in started().feed(message(b"Q", b"COMMIT;\0"))] == ["commit"]


def test_messages_are_whole_however_they_arrive() -> None:
    frontend = started()

    found = [piece for byte in PARSE + BIND + SYNC for piece in frontend.feed(bytes([byte]))]

    assert found == [(PARSE, None), (BIND, None), (SYNC, "submit_job")]


def test_a_request_for_encryption_is_followed_by_the_startup() -> None:
    frontend = Frontend()

    found = list(frontend.feed(SSL_REQUEST + STARTUP + message(b"Q", b"COMMIT\0")))

    assert [name for _, name in found] == [None, None, "commit"]


def test_answers_are_counted_however_they_arrive() -> None:
    backend = Backend()

    for byte in message(b"D", b"Z" * 10) + message(b"Z", b"I") + message(b"Z", b"I")[:-1]:
        backend.feed(bytes([byte]))

    assert backend.times_ready == 1
