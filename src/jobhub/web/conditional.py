"""Entity tags: every answer that is one job has one, made of its version; `If-None-Match` is compared with it. Source: RFC 9110, 13.1.2.

`queue` may differ under the same tag: it moves with other people's jobs, and is no part of the version.
"""

import re
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

from jobhub.contract.jobs import JobView
from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.jobs import Job
from jobhub.services.jobs import PlacedJob
from jobhub.web.schemas import job_view

ETAG = ResponseHeader(name="ETag", value='"7"', documentation_only=True, description="Strong: the job's version in quotes")

_TAG = r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")


class KnownVersions(msgspec.Struct, frozen=True):
    """What a request says it has: the versions it names, or, by `*`, whatever there is."""

    tags: frozenset[str]
    is_any: bool = False

    def __contains__(self, version: int) -> bool:
        return self.is_any or str(version) in self.tags


def known_versions(request: Request[Any, Any, Any]) -> KnownVersions | None:
    """The request's `If-None-Match`, or None without one. Weak tags count as strong ones. Raises InvalidInput: not a list of tags."""
    values = request.headers.getall("if-none-match", [])
    if not values:
        return None
    text = ",".join(values)
    if text.strip() == "*":
        return KnownVersions(frozenset(), is_any=True)
    if not _TAGS.fullmatch(text):
        raise InvalidInput([FieldError("#If-None-Match", 'must be * or entity tags in double quotes, such as "7"')])
    return KnownVersions(frozenset(re.findall(_TAG, text)))


def job_answer(placed: PlacedJob, *, status_code: int = HTTP_200_OK, headers: dict[str, str] | None = None) -> Response[JobView]:
    """One job, with its entity tag."""
    return Response(job_view(placed), status_code=status_code, headers=_tag_of(placed.job) | (headers or {}))


def not_modified(job: Job) -> Response[Any]:
    """That the client has this version already."""
    return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=_tag_of(job))


def _tag_of(job: Job) -> dict[str, str]:
    return {"ETag": f'"{job.version}"'}
