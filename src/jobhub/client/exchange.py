"""One call of the API, carried through: sent again while that is safe and there is time, with a new token if the old one has expired.

Not here: which calls there are (`calls`), and what is done with several of them (`operations`).
"""

import itertools
import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from jobhub.client.errors import ClientError, NoAnswer, Refused, Throttled, Unauthenticated, Unavailable, refusal
from jobhub.client.steps import Answer, Open, Renew, Request, Send, Sleep, Steps
from jobhub.client.tokens import Tokens

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A request and how its answer is read.

    `is_repeatable`: doing it twice is as good as once, so it may be sent again when nobody knows whether it was done. `is_public`: it
    needs no token. `is_stream`: its answer is left open.
    """

    request: Request
    read: Callable[[Answer], T]
    is_repeatable: bool = True
    is_public: bool = False
    is_stream: bool = False


class Session(msgspec.Struct, kw_only=True):
    """What all calls of one client share.

    `timeout_seconds` is for a connection and for each read; `patience_seconds` for how long a call is tried again in all.
    """

    tokens: Tokens
    timeout_seconds: float
    patience_seconds: float


def exchange(session: Session, call: Call[T]) -> Steps[T]:
    """Send a call until it is answered for good.

    A lost connection and a 503 are tried again if the call is repeatable, or was never sent; a 429 always, since nothing was done. All
    within `patience_seconds`, at the time the service names or after growing pauses. A 401 is tried once more with a new token.

    Raises:
        Refused, NoAnswer, UnexpectedAnswer: the last one, if time runs out.
    """
    gives_up_at = time.monotonic() + session.patience_seconds
    has_renewed = False
    for tries in itertools.count():
        token = None if call.is_public else (yield from _token(session))
        try:
            answer = yield _effect(call, token, None if tries == 0 else gives_up_at - time.monotonic())
            if answer.status < 400:
                return call.read(answer)
            raise refusal(answer.status, answer.headers, answer.body)
        except Unauthenticated:
            if call.is_public or has_renewed or not session.tokens.can_renew:
                raise
            has_renewed = True
            yield Renew(token)
        except (NoAnswer, Refused) as error:
            pause = _pause(error, tries)
            if not _is_worth_another_try(error, call.is_repeatable) or time.monotonic() + pause > gives_up_at:
                raise
            yield Sleep(pause)
    raise AssertionError("unreachable")


def _token(session: Session) -> Steps[str | None]:
    if session.tokens.access_token is None and session.tokens.can_renew:
        yield Renew(None)
    return session.tokens.access_token


def _effect(call: Call[T], token: str | None, seconds_left: float | None) -> Send | Open:
    request = call.request
    if token is not None:
        request = msgspec.structs.replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})
    if seconds_left is not None:  # the last try must not outlive the patience by a whole timeout
        request = msgspec.structs.replace(request, timeout_seconds=max(0.1, min(request.timeout_seconds, seconds_left)))
    return Open(request) if call.is_stream else Send(request)


def _is_worth_another_try(error: ClientError, is_repeatable: bool) -> bool:
    match error:
        case NoAnswer():
            return is_repeatable or not error.may_have_been_done
        case Throttled():
            return True
        case Unavailable():
            return is_repeatable
        case Refused():
            return is_repeatable and error.retry_after_seconds is not None
        case _:
            return False


def _pause(error: ClientError, tries: int) -> float:
    longest: float = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 10))
    pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that many clients don't come back at once
    # Not sooner than asked to; and not at once again and again if that is what is asked.
    return max(pause, error.retry_after_seconds or 0.0) if isinstance(error, Refused) else pause
