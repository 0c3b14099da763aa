"""`jobhub run`: one handler, here and now, without a database, a queue or a service."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from jobhub.cli.jobs.exits import Exit
from jobhub.cli.jobs.parameters import read_pairs
from jobhub.cli.jobs.printing import print_json, printable
from jobhub.domain.errors import InvalidInput, JobFailed, OperatorError
from jobhub.domain.job_types import JobType
from jobhub.handlers.registry import load_registry
from jobhub.settings import Settings
from jobhub.testing.handlers import Report, run_handler
from jobhub.worker.texts import NotStorable


def run(settings: Settings, name: str, given: Sequence[str]) -> int:
    """Run the handler of a job type; progress goes to standard error, the result to standard output. The exit status.

    Raises:
        OperatorError: there is no such job type, or parameters can't be read.
    """
    declared = load_registry(settings.handlers, demo=True).get(name)
    if declared is None:
        raise OperatorError(f"There is no job type {name!r} here: name its module in JOBHUB_HANDLERS.")
    parameters = _parameters(declared, given)
    try:
        ended = run_handler(declared.handler, parameters, on_report=_show)
    except InvalidInput as error:
        for wrong in error.errors:
            _say(f"{wrong.pointer}: {wrong.detail}")
        return Exit.USAGE
    except (JobFailed, NotStorable) as error:
        _say(f"failed: {error}" + (f" ({error.error_code})" if isinstance(error, JobFailed) else ""))
        return Exit.JOB_FAILED
    except Exception as error:  # whatever a handler raises
        traceback.print_exception(error)
        return Exit.JOB_FAILED
    print_json(ended.result)
    return Exit.DONE


def _parameters(declared: JobType, given: Sequence[str]) -> dict[str, Any]:
    """Those of the files, and over them those that are given as NAME=VALUE."""
    parameters: dict[str, Any] = {}
    try:
        for file in (Path(text) for text in given if "=" not in text):
            parameters |= msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        return parameters | read_pairs([text for text in given if "=" in text], msgspec.json.schema(declared.parameters))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise OperatorError(f"The parameters can't be read: {error}") from None


def _show(report: Report) -> None:
    _say(f"{report.percentage:.0f} % {report.message or ''}".rstrip())


def _say(text: str) -> None:
    click.echo(printable(text), file=sys.stderr)
