"""How the processes log: structlog to standard error, readable on a terminal, JSON elsewhere.

Called once by each composition root. Not here: what is logged; never parameters, results, tokens or addresses of databases.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable

import structlog

# What an outage of the database makes every loop and every request say. `database_lost` and `database_back` say when it was.
OF_AN_OUTAGE = frozenset(
    {
        "claim_failed",
        "outcomes_wait",
        "loop_waits_for_database",
        "listener_lost",
        "lease_not_renewed",
        "request_refused",
        "database_lost",
        "figures_not_read",
    }
)
SECONDS_BETWEEN = 60.0


class OncePerMinute:
    """A step of structlog's chain: of each event of an outage one line a minute, with how many were kept back; others pass."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # the lease logs from a thread of its own
        self._logged_at: dict[object, float] = {}
        self._kept_back: dict[object, int] = {}

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        name = event["event"]
        if name == "database_back":
            self._forget()
        if name not in OF_AN_OUTAGE:
            return event
        key = (name, event.get("loop"))
        with self._lock:
            if key in self._logged_at and self._clock() < self._logged_at[key] + SECONDS_BETWEEN:
                self._kept_back[key] = self._kept_back.get(key, 0) + 1
                raise structlog.DropEvent
            self._logged_at[key] = self._clock()
            if kept_back := self._kept_back.pop(key, 0):
                event["kept_back"] = kept_back
        return event

    def _forget(self) -> None:
        """The next outage is news; unless this one was so short that it may be one of a thousand."""
        with self._lock:
            long_ago = self._clock() - 5
            self._logged_at = {key: at for key, at in self._logged_at.items() if at > long_ago}


def configure_logging(level: str) -> None:
    """Send everything at `level` and above to standard error."""
    chain: list[structlog.typing.Processor] = [
        OncePerMinute(),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    is_terminal = sys.stderr.isatty()
    # Tracebacks without the values of local variables, which structlog shows by default: parameters and results are among them.
    on_terminal = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=False))
    as_dicts = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    renderer: structlog.typing.Processor = on_terminal if is_terminal else structlog.processors.JSONRenderer()
    before_rendering: list[structlog.typing.Processor] = [] if is_terminal else [as_dicts]
    structlog.configure(
        processors=[*chain, *before_rendering, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library. Procrastinate's INFO says per job what we say better.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
