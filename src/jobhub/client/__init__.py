"""The Python client of a jobhub service. It needs httpx and msgspec, and nothing of the service.

    from jobhub.client import Client

    with Client("http://127.0.0.1:8000", token=…) as jobs:
        job = jobs.wait(jobs.submit("demo.steps", {"steps": 3}))

docs/client.md is the guide, `jobhub.client.errors` the tree of what can go wrong.
"""

from jobhub.client.asynchronous import AsyncClient
from jobhub.client.blocking import Client
from jobhub.client.errors import (
    ClientError,
    Conflict,
    IllegalTransition,
    InvalidRequest,
    NoAnswer,
    NotFinished,
    NotFound,
    NotPermitted,
    Refused,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from jobhub.client.tokens import Tokens
from jobhub.contract.jobs import AttemptView as Attempt
from jobhub.contract.jobs import JobTypeView as JobType
from jobhub.contract.jobs import JobView as Job
from jobhub.domain.jobs import JobStatus

__all__ = [
    "AsyncClient",
    "Attempt",
    "Client",
    "ClientError",
    "Conflict",
    "IllegalTransition",
    "InvalidRequest",
    "Job",
    "JobStatus",
    "JobType",
    "NoAnswer",
    "NotFinished",
    "NotFound",
    "NotPermitted",
    "Refused",
    "Throttled",
    "Tokens",
    "Unauthenticated",
    "Unavailable",
]
