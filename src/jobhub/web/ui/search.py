"""The search box above a list of jobs: `status:failed type:report.query owner:alice@example.org nightly`.

A comma is *or*; words without a key, or in double quotes, are looked for in titles. Not here: finding the jobs (`services.listing`).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from jobhub.domain.jobs import JobStatus
from jobhub.store.matching import JobFilter

_TOKEN = re.compile(r'(?:(?P<key>[A-Za-z_]+):(?!//))?(?:"(?P<quoted>[^"]*)"?|(?P<plain>\S+))')
_MAX_LENGTH = 500
USER_KEYS = ("status", "type", "tag", "error", "after", "before")
ADMIN_KEYS = (*USER_KEYS, "owner", "worker")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, as far as it could be understood, and a sentence for each part that couldn't.

    `owner` is an id or e-mail address.
    """

    text: str
    where: JobFilter
    owner: str | None = None
    problems: tuple[str, ...] = ()


def read_search(text: str, *, status: str = "", keys: tuple[str, ...], owner_id: UUID | None = None, oldest_first: bool = False) -> Search:
    """The filter a text stands for; `status`, of a tab, wins over one in the text. `owner_id` confines it to one user's jobs."""
    parts: dict[str, Any] = {}
    words: list[str] = []
    problems: list[str] = []
    text = text[:_MAX_LENGTH].replace("\0", "").strip()
    for token in _TOKEN.finditer(text):
        value = token["quoted"] if token["quoted"] is not None else token["plain"]
        key = (token["key"] or "").lower()
        if not key:
            words.append(value)
        elif key not in keys:
            problems.append(f"There is no key “{key}:”. Use {_listed(keys)}, or put the words in double quotes.")
        else:
            problems += _READERS[key](parts, value)
    if status in set(JobStatus):
        parts["statuses"] = (JobStatus(status),)
    if parts.get("error_code"):
        parts.setdefault("statuses", (JobStatus.FAILED,))  # no others have one, and an index leads to these
    if words:
        parts["text"] = " ".join(words)[:200]
    if owner_id:
        parts["owner_id"] = owner_id
    owner = parts.pop("owner", None)
    return Search(text=text, where=JobFilter(**parts, oldest_first=oldest_first), owner=owner, problems=tuple(problems))


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(f"{key}:" for key in keys[:-1]) + f" or {keys[-1]}:"


def _read_status(parts: dict[str, Any], value: str) -> list[str]:
    names = value.lower().split(",")
    parts["statuses"] = tuple(JobStatus(name) for name in names if name in set(JobStatus))
    return [f"“{name}” is no status. Use {', '.join(JobStatus)}." for name in names if name not in set(JobStatus)]


def _read_type(parts: dict[str, Any], value: str) -> list[str]:
    parts["job_types"] = tuple(name for name in value.split(",") if name)
    return []


def _read_tag(parts: dict[str, Any], value: str) -> list[str]:
    parts["tags"] = (*parts.get("tags", ()), value)
    return []


def _read_error(parts: dict[str, Any], value: str) -> list[str]:
    parts["error_code"] = value
    return []


def _read_owner(parts: dict[str, Any], value: str) -> list[str]:
    parts["owner"] = value
    return []


def _read_worker(parts: dict[str, Any], value: str) -> list[str]:
    parts["worker_id"] = _uuid(value)
    return [] if parts["worker_id"] else ["“worker:” takes the id of a worker."]


def _read_time(field: str) -> Callable[[dict[str, Any], str], list[str]]:
    def read(parts: dict[str, Any], value: str) -> list[str]:
        try:
            at = datetime.fromisoformat(value)
            parts[field] = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return [f"“{value}” is no date. Write it like 2026-11-23, or 2026-11-23T10:00Z."]
        return []

    return read


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


_READERS: dict[str, Callable[[dict[str, Any], str], list[str]]] = {
    "status": _read_status,
    "type": _read_type,
    "tag": _read_tag,
    "error": _read_error,
    "owner": _read_owner,
    "worker": _read_worker,
    "after": _read_time("created_after"),
    "before": _read_time("created_before"),
}
