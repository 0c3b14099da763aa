"""What a worker and the process of a handler say to each other, one line of JSON each. The child imports it: keep its imports few."""

from typing import Any
from uuid import UUID

import msgspec

from jobhub.worker.texts import MAX_RESULT_BYTES

MAX_LINE_BYTES = 2 * MAX_RESULT_BYTES
# Over the child's standard input, after the order: the owner wants the job cancelled, or it must stop for another reason.
CANCEL, STOP = b"cancel", b"stop"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to run: the handler of a job type, in the module that declares it."""

    module: str
    job_type: str
    job_id: UUID
    owner_id: UUID
    attempt: int
    parameters: dict[str, Any]
    memory_limit_mb: int | None
    path: list[str]


class StartedMessage(msgspec.Struct, frozen=True, tag="started"):
    """The handler is entered now: the time it may take begins."""


class ProgressMessage(msgspec.Struct, frozen=True, tag="progress"):
    percentage: float
    message: str | None


class ResultMessage(msgspec.Struct, frozen=True, tag="result"):
    result: Any


class FailureMessage(msgspec.Struct, frozen=True, tag="failure"):
    """`is_storable` false: the handler returned what is no JSON."""

    code: str
    message: str
    traceback: str
    retryable: bool
    is_storable: bool = True


Message = StartedMessage | ProgressMessage | ResultMessage | FailureMessage
