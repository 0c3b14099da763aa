"""What every error looks like on the wire: an RFC 9457 problem. Not here: which error is which problem (`web.problems`)."""

import msgspec

PROBLEM_JSON = "application/problem+json"


class ErrorItem(msgspec.Struct, frozen=True):
    """One invalid field: a JSON pointer into the body, `?name` or `#name`, and what is wrong."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error. `code` is stable; `job_status` is the job's present status where that is the reason."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[ErrorItem] = []
    job_status: str | None = None
