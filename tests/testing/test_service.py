"""A temporary service: there for the block, gone after it, and honest if it can't start."""

from pathlib import Path

import pytest

from jobhub.client import NoAnswer
from jobhub.testing import temporary_service

pytestmark = pytest.mark.xdist_group("client")


def test_a_service_with_ones_own_handlers_is_there_for_the_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_jobs.py").write_text(
        "import jobhub, msgspec\n\n\nclass P(msgspec.Struct):\n    n: int\n\n\n"
        "@jobhub.job_type('own.double')\nasync def double(ctx: jobhub.JobContext, params: P) -> int:\n    return 2 * params.n\n"
    )

    with temporary_service(handlers=["own_jobs"]) as service:
        user = service.user()
        job = user.wait(user.submit("own.double", {"n": 21}), timeout_seconds=30)
        seen = [one.id for one in service.client.list_all_jobs()]
        other = list(service.user().list_jobs())

    assert job.result == 42
    assert seen == [job.id]
    assert other == []
    service.client.session.patience_seconds = 0
    with pytest.raises((NoAnswer, RuntimeError)):  # httpx: the client is closed
        service.client.me()


def test_a_service_that_cannot_start_ends_at_once_and_says_why():
    with pytest.raises(RuntimeError) as raised, temporary_service(handlers=["no.such.module"]):
        pass

    assert "'no.such.module' can't be imported" in str(raised.value)
    assert "could not start; what it said is above" in str(raised.value)
