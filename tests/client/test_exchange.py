"""When a call is sent again: every error × repeatable or not, without a socket."""

import pytest

from jobhub.client import exchange as module
from jobhub.client.errors import NoAnswer
from jobhub.client.exchange import Call, Session, exchange
from jobhub.client.steps import Answer, Renew, Request, Script, Send, Sleep
from jobhub.client.tokens import Tokens
from tests.client.test_errors import refused

ONCE = Request(method="POST", path="/x", timeout_seconds=10)
SENT, NEVER_SENT = NoAnswer("lost", may_have_been_done=True), NoAnswer("refused", may_have_been_done=False)


def start(*, is_repeatable: bool = True, patience_seconds: float = 60, **tokens: str) -> Script[str]:
    session = Session(tokens=Tokens(**(tokens or {"access_token": "t"})), timeout_seconds=10, patience_seconds=patience_seconds)
    return Script(exchange(session, Call(request=ONCE, read=lambda answer: answer.body.decode(), is_repeatable=is_repeatable)))


def problem(status: int, code: str, **headers: str) -> Answer:
    return Answer(
        status=status,
        headers={"content-type": "application/problem+json", **headers},
        body=f'{{"type":"","title":"","status":{status},"detail":"no","instance":"","code":"{code}","request_id":""}}'.encode(),
    )


@pytest.mark.parametrize(
    ("outcome", "repeatable", "other"),
    [
        (SENT, True, False),
        (NEVER_SENT, True, True),
        (problem(503, "database_unavailable"), True, False),
        (problem(429, "submit_rate_exceeded"), True, True),
        (problem(409, "illegal_transition"), False, False),
        (problem(400, "invalid_request"), False, False),
        (problem(500, "internal_error"), False, False),
        (problem(404, "not_found"), False, False),
        (Answer(status=502, headers={}), True, False),
    ],
    ids=lambda value: getattr(value, "code", None) or (str(value.status) if isinstance(value, Answer) else str(value)),
)
def test_what_is_tried_again(outcome, repeatable, other):
    for is_repeatable, is_tried_again in ((True, repeatable), (False, other)):
        script = start(is_repeatable=is_repeatable)
        try:
            script.fail(outcome) if isinstance(outcome, NoAnswer) else script.reply(outcome)
        except Exception:
            assert not is_tried_again
        else:
            assert is_tried_again
            assert isinstance(script.effect, Sleep)
            script.reply(None)
            assert isinstance(script.effect, Send)


def test_pauses_grow_to_a_limit_and_no_two_clients_share_them(monkeypatch):
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    script, pauses = start(patience_seconds=1000), []
    for _ in range(8):
        script.fail(SENT)
        pauses.append(script.effect.seconds)
        script.reply(None)

    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(("asked_for", "paused"), [("0", 0.2), ("3", 3.0)])
def test_nobody_comes_back_sooner_than_asked_nor_at_once(monkeypatch, asked_for, paused):
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    script = start()
    script.reply(problem(503, "database_unavailable", **{"retry-after": asked_for}))

    assert script.effect == Sleep(paused)


def test_the_last_try_does_not_outlive_the_patience_by_a_whole_timeout(monkeypatch):
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    script = start(patience_seconds=12)
    first = script.effect.request.timeout_seconds
    now = 107.0
    script.fail(SENT)
    script.reply(None)

    assert (first, script.effect.request.timeout_seconds) == (10, 5)


def test_credentials_get_a_token_before_anything_else_is_sent():
    script = start(email="ada@example.org", password="secret")

    assert script.effect == Renew(None)


def test_the_answer_is_read_and_the_token_shown():
    script = start()
    sent = script.effect
    script.reply(Answer(status=200, headers={}, body=b"well"))

    assert sent.request.headers["authorization"] == "Bearer t"
    assert (script.effect, script.result) == (None, "well")


def test_tokens_show_nothing_of_themselves():
    assert "secret" not in repr(Tokens("secret", refresh_token="secret", email="a", password="secret"))
    assert refused(401, "invalid_token").code == "invalid_token"
