"""Lost connections, refusals for now and expired tokens, between both clients and a running service."""

import threading

import msgspec
import pytest

from jobhub.client import Client, NoAnswer, NotFinished, Tokens, Unavailable, errors
from jobhub.domain.jobs import JobStatus
from tests.acceptance.service import free_port
from tests.client import front
from tests.client.test_operations import FOR_LATER
from tests.factories import new_id

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def user(connect, proxy, account):
    """A client that is logged in, so that plans are for what comes next."""
    client = connect(proxy.url, email=account[0], password=account[1], patience_seconds=20)
    client.me()
    return client


@pytest.mark.parametrize("loss", [front.lose, front.lose_answer], ids=["request", "answer"])
def test_a_submit_whose_connection_is_lost_makes_one_job(user, proxy, loss):
    proxy.plan(loss, loss)

    job = user.submit("demo.sleep", **FOR_LATER)

    assert proxy.count("POST", "/jobs") == 3
    assert [one.id for one in user.list_jobs()] == [job.id]


@pytest.mark.parametrize(
    "refused",
    [
        front.problem(503, "database_unavailable", Retry_After="0"),
        front.problem(429, "submit_rate_exceeded", Retry_After="0"),
        front.problem(409, "already_exists", Retry_After="0"),
        front.answer_with(502),
    ],
    ids=["503", "429", "409 in flight", "502 of a proxy"],
)
def test_a_submit_that_is_refused_for_now_is_sent_again_with_its_key(user, proxy, refused):
    proxy.plan(refused)

    user.submit("demo.sleep", **FOR_LATER)

    keys = [seen.headers["idempotency-key"] for seen in proxy.seen if seen.method == "POST" and seen.path == "/jobs"]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_refusal_that_outlasts_the_patience_is_raised_at_once(user, proxy):
    proxy.plan(front.problem(429, "too_many_pending_jobs", Retry_After="3600"))

    with pytest.raises(errors.TooManyPendingJobs) as raised:
        user.submit("demo.sleep", **FOR_LATER)
    assert raised.value.retry_after_seconds == 3600
    assert proxy.count("POST", "/jobs") == 1


def test_what_must_not_be_done_twice_is_not_sent_again(user, proxy):
    job = user.submit("demo.sleep", **FOR_LATER)
    user.cancel(job)
    proxy.plan(front.lose_answer)

    with pytest.raises(NoAnswer) as raised:
        user.retry(job)
    assert raised.value.may_have_been_done
    assert proxy.count("POST", f"/jobs/{job.id}/retry") == 1
    assert user.get(job).status is not JobStatus.CANCELLED


def test_a_conflict_is_no_reason_to_try_again(user, proxy):
    job = user.submit("demo.sleep", **FOR_LATER)

    with pytest.raises(errors.IllegalTransition):
        user.retry(job)
    assert proxy.count("POST", f"/jobs/{job.id}/retry") == 1


def test_a_service_that_is_not_there_is_told_after_the_patience(connect):
    with pytest.raises(NoAnswer) as raised:
        connect(f"http://127.0.0.1:{free_port()}", token="x", patience_seconds=0.5).me()
    assert not raised.value.may_have_been_done


def test_a_service_that_is_silent_is_given_up(user, proxy):
    silent = threading.Event()
    proxy.plan(*[lambda _handler: silent.wait(20)] * 3)
    user_session = getattr(user, "client", user).session
    user_session.timeout_seconds, user_session.patience_seconds = 0.3, 0.5

    try:
        with pytest.raises(NoAnswer, match="Timeout"):
            user.me()
    finally:
        silent.set()


@pytest.mark.parametrize(
    "strange",
    [
        front.answer_with(200, b"<html>"),
        front.answer_with(200, b'{"id": 5}'),
        front.answer_with(302, location="/elsewhere"),
        front.answer_with(418),
    ],
    ids=["html", "other json", "redirect", "teapot"],
)
def test_what_is_no_jobhub_is_said_to_be_so(user, proxy, strange):
    proxy.plan(strange)

    with pytest.raises(errors.UnexpectedAnswer):
        user.get(new_id())


def test_a_watch_goes_on_over_lost_connections_and_tells_nothing_twice(user, proxy):
    proxy.plan(front.pass_on, front.cut_stream, front.end_stream, front.lose, front.cut_stream)

    states = list(user.watch(user.submit("demo.steps", {"steps": 10, "seconds_per_step": 0.5})))

    versions = [state.version for state in states]
    assert versions == sorted(set(versions))
    assert states[-1].status is JobStatus.COMPLETED
    assert proxy.count("GET", f"/jobs/{states[0].id}/events") >= 4


def test_a_watch_of_a_job_that_is_deleted_ends_with_not_found(user, proxy):
    job = user.submit("demo.sleep", **FOR_LATER)
    proxy.plan(front.cut_stream, front.problem(404, "not_found"))

    with pytest.raises(errors.NotFound):
        list(user.watch(job))


def test_a_watch_whose_stream_is_refused_for_now_waits_for_its_turn(user, proxy):
    job = user.submit("demo.sleep", {"seconds": 0})
    proxy.plan(front.problem(429, "too_many_streams", Retry_After="0"), front.problem(503, "database_unavailable", Retry_After="0"))

    assert list(user.watch(job))[-1].status is JobStatus.COMPLETED


def test_a_watch_of_a_service_that_stays_away_is_given_up(user, proxy):
    job = user.submit("demo.sleep", **FOR_LATER)
    getattr(user, "client", user).session.patience_seconds = 0.5
    proxy.plan(front.cut_stream, *[front.problem(503, "database_unavailable", Retry_After="0")] * 200)

    with pytest.raises(Unavailable):
        list(user.watch(job))


def test_a_service_that_holds_no_request_is_not_asked_at_once_again(user, proxy):
    job = user.submit("demo.sleep", **FOR_LATER)
    as_it_is = front.answer_with(200, msgspec.json.encode(job), content_type="application/json")
    proxy.plan(*[as_it_is] * 50)

    with pytest.raises(NotFinished):
        user.wait(job, timeout_seconds=2)
    assert proxy.count("GET", f"/jobs/{job.id}") <= 5


def test_an_expired_token_is_renewed_once_with_the_refresh_token(user, proxy):
    proxy.plan(front.problem(401, "token_expired"))

    user.me()

    assert proxy.count("POST", "/auth/refresh") == 1
    assert proxy.count("POST", "/auth/token") == 1


def test_a_new_token_that_is_refused_too_is_an_error(user, proxy):
    proxy.plan(front.problem(401, "token_expired"), front.pass_on, front.problem(401, "invalid_token"))

    with pytest.raises(errors.Unauthenticated):
        user.me()
    assert proxy.count("POST", "/auth/refresh") == 1


def test_a_stream_is_opened_with_a_new_token_too(user, proxy):
    job = user.submit("demo.sleep", {"seconds": 0})
    proxy.plan(front.problem(401, "token_expired"))

    assert list(user.watch(job))[-1].status is JobStatus.COMPLETED
    assert proxy.count("POST", "/auth/refresh") == 1


def test_a_lost_refresh_is_mended_with_the_password(user, proxy):
    proxy.plan(front.problem(401, "token_expired"), front.lose_answer)

    user.me()

    assert proxy.count("POST", "/auth/refresh") == 2
    assert proxy.count("POST", "/auth/token") == 2


def test_without_a_password_a_lost_refresh_ends_the_login(connect, proxy, account):
    pair = connect(proxy.url).log_in(*account)
    client = connect(proxy.url, tokens=Tokens(pair.access_token, refresh_token=pair.refresh_token))
    proxy.plan(front.problem(401, "token_expired"), front.lose_answer)

    with pytest.raises(errors.Unauthenticated) as raised:
        client.me()
    assert raised.value.code == "invalid_refresh_token"


def test_a_token_alone_is_not_renewed(connect, proxy):
    with pytest.raises(errors.Unauthenticated):
        connect(proxy.url, token="not.a.token").me()
    assert len(proxy.seen) == 1


def test_threads_whose_token_expires_together_renew_it_once(proxy, account):
    with Client(proxy.url, email=account[0], password=account[1]) as client:
        client.me()
        together = threading.Barrier(4)

        def refuse(handler):
            together.wait(20)
            front.problem(401, "token_expired")(handler)

        proxy.plan(*[refuse] * 4)
        results = []
        threads = [threading.Thread(target=lambda: results.append(client.me().email)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert results == [account[0]] * 4
    assert proxy.count("POST", "/auth/refresh") == 1


def test_the_body_says_only_what_was_given(user, proxy):
    user.submit("demo.sleep", **FOR_LATER)

    bodies = [msgspec.json.decode(seen.body) for seen in proxy.seen if seen.path == "/jobs" and seen.method == "POST"]
    assert set(bodies[0]) == {"job_type", "title", "scheduled_for"}
