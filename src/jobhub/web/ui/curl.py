"""A job as a command line that submits it again. The token stands in for whoever runs it."""

import shlex
from typing import Any

import msgspec

from jobhub.domain.jobs import Job
from jobhub.web.ui.wording import MAX_SHOWN_JSON


def submit_command(job: Job, base_url: str) -> str | None:
    """For a POSIX shell with the token in `$TOKEN`; None if the job's parameters are too long for a command line."""
    body: dict[str, Any] = {"job_type": job.job_type, "title": job.title, "parameters": job.parameters}
    body |= {name: value for name in ("description", "tags", "priority") if (value := getattr(job, name))}
    text = msgspec.json.encode(body).decode()
    if len(text) > MAX_SHOWN_JSON:
        return None
    lines = [
        f"curl -X POST {shlex.quote(f'{base_url}/jobs')}",
        '-H "Authorization: Bearer $TOKEN"',
        "-H 'Content-Type: application/json'",
        f"--data-raw {shlex.quote(text)}",
    ]
    return " \\\n  ".join(lines)
