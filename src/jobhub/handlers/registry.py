"""Finding handlers: those that ship with jobhub, the modules of JOBHUB_HANDLERS, and the entry points `jobhub.handlers`."""

import importlib
import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from jobhub.domain.errors import OperatorError
from jobhub.domain.job_types import Registry

BUILT_IN = ("jobhub.handlers.http_request", "jobhub.handlers.report_query")
DEMO = "jobhub.handlers.demo"
ENTRY_POINT_GROUP = "jobhub.handlers"


def load_registry(modules: Iterable[str], *, demo: bool) -> Registry:
    """The job types of this process.

    Raises:
        OperatorError: a module can't be imported, or two handlers claim one name.
    """
    names = [*BUILT_IN, *([DEMO] if demo else []), *modules, *_entry_points()]
    return Registry.from_modules(_import(name) for name in dict.fromkeys(names))


def _entry_points() -> list[str]:
    return [entry.module for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)]


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        # As `python -m` does: one's own handlers.py beside one's own .env is found without being installed.
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except OperatorError:
        raise
    except Exception as error:
        raise OperatorError(f"The handlers module {name!r} can't be imported: {type(error).__name__}: {error}") from error
