"""For the tests of handlers: one handler on its own, or a whole service with it.

    from jobhub.testing import run_handler

    def test_it_counts():
        assert run_handler(count, {"words": "a b"}).result == {"count": 2}

`run_handler` needs no service and no database. `temporary_service`, and the pytest fixtures of `jobhub.testing.fixtures`, start a real one
(`pip install 'jobhub[embedded]'`).
"""

from jobhub.testing.handlers import HandlerRun, LogEntry, Report, run_handler, run_handler_async
from jobhub.testing.service import TemporaryService, temporary_service

__all__ = ["HandlerRun", "LogEntry", "Report", "TemporaryService", "run_handler", "run_handler_async", "temporary_service"]
