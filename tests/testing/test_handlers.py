"""A handler on its own: what it is given, what is checked, what is remembered."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest

import jobhub
from jobhub.domain.errors import InvalidInput
from jobhub.testing import LogEntry, Report, run_handler, run_handler_async
from jobhub.worker.texts import NotStorable
from tests.factories import new_id


class Given(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    what: str = "all"
    times: Annotated[int, msgspec.Meta(ge=1)] = 1


@jobhub.job_type("test.coroutine")
async def coroutine(ctx: jobhub.JobContext, params: Given) -> Any:
    for number in range(params.times):
        await ctx.progress(100 * (number + 1) / params.times, f"{number + 1}")
    ctx.log.bind(a=1).warning("seen", b=2)
    match params.what:
        case "context":
            return {"job": ctx.job_id, "owner": ctx.owner_id, "attempt": ctx.attempt, "cancel": ctx.cancel_requested}
        case "fail":
            raise jobhub.JobFailed("no", code="no")
        case "set":
            return object()
        case _:
            return {"at": datetime(2026, 11, 28, tzinfo=UTC)}


@jobhub.job_type("test.plain")
def plain(ctx: jobhub.ProcessJobContext, params: Given) -> int:
    ctx.progress(50)
    return params.times


def test_the_result_is_what_a_user_would_read_and_reports_are_kept():
    run = run_handler(coroutine, {"times": 2})

    assert run.result == {"at": "2026-11-28T00:00:00Z"}
    assert run.reports == [Report(50, "1"), Report(100, "2")]
    assert run.log == [LogEntry("warning", "seen", {"a": 1, "b": 2})]


def test_a_plain_handler_is_run_too():
    run = run_handler(plain, Given(times=3))

    assert (run.result, run.reports) == (3, [Report(50, None)])


async def test_a_test_that_is_a_coroutine_awaits():
    assert (await run_handler_async(coroutine)).reports == [Report(100, "1")]


def test_the_context_is_as_it_was_asked_for():
    job_id, owner_id = new_id(), new_id()

    run = run_handler(coroutine, {"what": "context"}, job_id=job_id, owner_id=owner_id, attempt=3, cancel_requested=True)

    assert run.result == {"job": str(job_id), "owner": str(owner_id), "attempt": 3, "cancel": True}


def test_parameters_are_checked_as_at_a_submit():
    with pytest.raises(InvalidInput) as refused:
        run_handler(coroutine, {"times": "2", "colour": "red"})
    assert {error.pointer for error in refused.value.errors} == {"/parameters/times", "/parameters/colour"}


def test_what_a_handler_raises_is_raised():
    with pytest.raises(jobhub.JobFailed, match="no"):
        run_handler(coroutine, {"what": "fail"})


def test_a_result_that_is_no_json_is_refused():
    with pytest.raises(NotStorable):
        run_handler(coroutine, {"what": "set"})


def test_what_is_no_handler_is_named():
    with pytest.raises(TypeError, match="test_what_is_no_handler"):
        run_handler(test_what_is_no_handler_is_named)


def test_the_log_has_the_methods_of_a_log_and_no_others():
    @jobhub.job_type("test.log")
    def odd(ctx: jobhub.ProcessJobContext, params: Given) -> None:
        ctx.log.shout("!")

    with pytest.raises(AttributeError, match="shout"):
        run_handler(odd)
