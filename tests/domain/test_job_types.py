from types import ModuleType
from typing import Any

import msgspec
import pytest

import jobhub
from jobhub.domain.errors import OperatorError
from jobhub.domain.job_types import Registry


class Parameters(msgspec.Struct):
    """Of every handler here."""


async def handler(ctx: jobhub.JobContext, params: Parameters) -> None:
    """Do something.

    And more.
    """


def plain(ctx: jobhub.ProcessJobContext, params: Parameters) -> None:
    """In a process."""


def module_with(**members: Any) -> ModuleType:
    module = ModuleType("some_handlers")
    vars(module).update(members)
    return module


def test_a_declared_handler_is_found_with_its_policies():
    declared = jobhub.job_type("a.b", timeout_seconds=5, retry=jobhub.Retry(max_attempts=3), queue="slow")(handler)

    found = Registry.from_modules([module_with(one=declared, the_same_again=declared)]).get("a.b")

    assert found is not None
    assert (found.summary, found.timeout_seconds, found.retry.max_attempts, found.queue) == ("Do something.", 5, 3, "slow")
    assert found.parameters is Parameters
    assert not found.runs_in_process


def test_a_plain_function_runs_in_a_process():
    found = Registry.from_modules([module_with(one=jobhub.job_type("a.b", memory_limit_mb=100)(plain))]).get("a.b")

    assert found is not None
    assert found.runs_in_process


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("Upper.case", {}, "lower-case words"),
        ("a..b", {}, "lower-case words"),
        ("a" * 101, {}, "at most 100 characters"),
        ("a", {"queue": "q" * 21}, "the queue"),
        ("a", {"queue": "Ü"}, "the queue"),
        ("a", {"timeout_seconds": 0}, "timeout_seconds"),
        ("a", {"timeout_seconds": 8 * 86400}, "timeout_seconds"),
        ("a", {"memory_limit_mb": 100}, "plain `def` handler"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_with_the_reason(name, options, complaint):
    with pytest.raises(OperatorError, match=complaint):
        jobhub.job_type(name, **options)(handler)


def test_a_handler_without_a_parameter_struct_is_refused():
    async def untyped(ctx, params): ...

    with pytest.raises(OperatorError, match="must take \\(ctx, params\\)"):
        jobhub.job_type("a.b")(untyped)


@pytest.mark.parametrize("attempts", [0, 101])
def test_retry_counts_are_limited(attempts):
    with pytest.raises(ValueError, match="max_attempts"):
        jobhub.Retry(max_attempts=attempts)


def test_two_handlers_with_one_name_are_refused_and_both_named():
    async def other(ctx: jobhub.JobContext, params: Parameters) -> None: ...

    modules = [module_with(one=jobhub.job_type("a.b")(handler)), module_with(two=jobhub.job_type("a.b")(other))]

    with pytest.raises(OperatorError, match=r"handler.*other"):
        Registry.from_modules(modules)
