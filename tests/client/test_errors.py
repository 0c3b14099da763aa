"""Every code the service can answer with has a class of its own to be caught by."""

import pickle
import re
from pathlib import Path

import pytest

from jobhub import strict_http
from jobhub.client import errors
from jobhub.domain import errors as domain
from jobhub.web import problems

SOURCE = Path(problems.__file__).parents[1]


def subclasses(root: type) -> set[type]:
    return {root}.union(*(subclasses(child) for child in root.__subclasses__()))


def codes_of_the_service() -> set[str]:
    """Of the errors that have a status, of Litestar's own, of the HTTP parser, and those given to one instance in the code."""
    mapped = {error.code for error in subclasses(domain.JobhubError) if any(cls in problems.STATUS for cls in error.__mro__)}
    named = set()
    for folder in ("web", "services", "domain"):
        for file in (SOURCE / folder).rglob("*.py"):
            named |= set(
                re.findall(r"(?:Unauthenticated|InvalidInput)\([^()]*(?:\([^()]*\)[^()]*)*code=\"(\w+)\"", file.read_text("utf-8"))
            )
    return (
        mapped | named | set(problems._CODES.values()) | {code for code, _ in strict_http._REASONS.values()} | {"internal_error", "refused"}
    )


def test_every_code_of_the_service_is_known_to_the_client():
    codes = codes_of_the_service()

    assert {"use_cursor", "token_expired", "too_deep", "head_too_large", "clean_up_in_progress"} <= codes
    assert codes - set(errors.BY_CODE) == set()


def test_no_code_is_known_to_the_client_that_nobody_sends():
    assert set(errors.BY_CODE) - codes_of_the_service() == {"conflict", "throttled"}  # the roots of their branches


@pytest.mark.parametrize("error", sorted(problems.STATUS, key=lambda error: error.__name__), ids=lambda error: error.__name__)
def test_an_unknown_code_with_a_known_status_is_of_the_same_branch(error):
    """So that a client from before a code is no worse off than one that doesn't look at codes."""
    status = problems.STATUS[error]
    known = type(refused(status, error.code))
    unknown = type(refused(status, "made_up_later"))

    assert issubclass(known, unknown)


def refused(status: int, code: str, **headers: str) -> errors.ClientError:
    body = f'{{"type":"","title":"","status":{status},"detail":"no","instance":"/","code":"{code}","request_id":"r"}}'
    return errors.refusal(status, {"content-type": problems.PROBLEM_JSON, **headers}, body.encode())


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("Sat, 28 Nov 2026 20:00:00 GMT", None), ("²", None), ("", None)])
def test_the_time_to_come_back_is_read_if_it_is_in_seconds(text, seconds):
    assert refused(503, "database_unavailable", **{"retry-after": text}).retry_after_seconds == seconds


def test_an_error_survives_pickling():
    """So that it can come out of a process pool."""
    before = refused(429, "too_many_streams", **{"retry-after": "15"})

    after = pickle.loads(pickle.dumps(before))

    assert (type(after), str(after), after.retry_after_seconds, after.code) == (errors.TooManyStreams, "no", 15, "too_many_streams")


def test_the_tree_in_the_docstring_names_every_class():
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))

    assert drawn | {"ClientError"} == {cls.__name__ for cls in subclasses(errors.ClientError)}
