"""What `bench.history` asks of a long history: every call that reads, and lists by each of their filters. Not here: how long it takes."""

import json
import urllib.request
from datetime import datetime, timedelta
from typing import Any

from bench.history_fill import LARGEST, SMALL

# (name, who asks, path); what stands in braces is filled in (places)
REQUESTS = [
    ("own, first page", SMALL, "/jobs"),
    ("own, first page", LARGEST, "/jobs"),
    ("own, page 50", LARGEST, "/jobs?page=50"),
    ("own, page 500", LARGEST, "/jobs?page=500"),
    ("own, deep cursor", LARGEST, "/jobs?cursor={cursor}"),
    ("own, status=completed", LARGEST, "/jobs?status=completed"),
    ("own, status=failed", LARGEST, "/jobs?status=failed"),
    ("own, status=cancelled (rare)", LARGEST, "/jobs?status=cancelled"),
    ("own, status=running (none)", LARGEST, "/jobs?status=running"),
    ("own, job_type", LARGEST, "/jobs?job_type=bench.type3"),
    ("own, a frequent tag", LARGEST, "/jobs?tag=nightly"),
    ("own, a rare tag", LARGEST, "/jobs?tag=rare"),
    ("own, two tags", LARGEST, "/jobs?tag=nightly&tag=team7"),
    ("own, job_type and status=failed", LARGEST, "/jobs?job_type=bench.type3&status=failed"),
    ("own, a tag and status=failed", LARGEST, "/jobs?tag=nightly&status=failed"),
    ("own, created_after and before", LARGEST, "/jobs?created_after={after}&created_before={before}"),
    ("one job", LARGEST, "/jobs/{job}"),
    ("its attempts", LARGEST, "/jobs/{job}/attempts"),
    ("admin, plain", "admin", "/jobs/admin/all"),
    ("admin, owner", "admin", "/jobs/admin/all?owner={owner}"),
    ("admin, q=", "admin", "/jobs/admin/all?q=Report"),
    ("admin, q= (rare)", "admin", "/jobs/admin/all?q=needle"),
    ("admin, q= (rare), of a day", "admin", "/jobs/admin/all?q=needle&created_after={after}&created_before={day_later}"),
    ("admin, worker", "admin", "/jobs/admin/all?worker={worker}"),
    ("admin, status=failed", "admin", "/jobs/admin/all?status=failed"),
    ("admin, job_type", "admin", "/jobs/admin/all?job_type=bench.type3"),
    ("admin, a frequent tag", "admin", "/jobs/admin/all?tag=nightly"),
    *((f"statistics, {window}", "admin", f"/jobs/admin/statistics?window={window}") for window in ("1h", "24h", "7d", "30d", "all")),
    ("queue-status", "admin", "/jobs/admin/queue-status"),
    ("users", "admin", "/users"),
    ("job-types", SMALL, "/job-types"),
    ("me, with what is pending", LARGEST, "/auth/me"),
    ("metrics", "admin", "/metrics"),
    ("readyz", "admin", "/readyz"),
]


def places(port: int, tokens: dict[str, str]) -> dict[str, str]:
    """What stands in the middle of the largest user's history."""
    page = _get(port, tokens[LARGEST], "/jobs?per_page=100&page=100")
    job = page["jobs"][0]
    first = _get(port, tokens[LARGEST], "/jobs?per_page=1")["jobs"][0]
    day_later = datetime.fromisoformat(job["created_at"]) + timedelta(days=1)
    return {
        "day_later": day_later.isoformat().replace("+00:00", "Z"),
        "worker": _get(port, tokens["admin"], "/jobs/admin/all?per_page=1")["jobs"][0]["worker"],
        "cursor": _get(port, tokens[LARGEST], "/jobs?page=500")["next_cursor"],
        "job": job["id"],
        "after": job["created_at"],
        "before": first["created_at"],
        "owner": f"{LARGEST}@example.org",
    }


def _get(port: int, token: str, path: str) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
        return found
