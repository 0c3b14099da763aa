"""Completing job types in a shell: what the service has, or nothing."""

import os

import rich_click as click

from jobhub.cli.jobs.connection import access
from jobhub.client import Client, ClientError
from jobhub.domain.errors import OperatorError

TIMEOUT_SECONDS = 2.0  # somebody has pressed a key


def complete_job_type(context: click.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names and summaries of the job types that begin so."""
    try:
        url, tokens = access(os.environ, profile=context.obj if isinstance(context.obj, str) else None)
        with Client(url, tokens=tokens, timeout_seconds=TIMEOUT_SECONDS, patience_seconds=0) as client:
            return [(one.name, one.summary) for one in client.list_job_types() if one.name.startswith(incomplete)]
    except (ClientError, OperatorError, ValueError):
        return []  # a shell is no place to tell of errors
