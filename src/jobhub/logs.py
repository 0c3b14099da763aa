"""How the processes log: structlog to standard error, readable on a terminal, JSON elsewhere.

Called once by each composition root. Not here: what is logged; never parameters, results, tokens or addresses of databases.
"""

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """Send everything at `level` and above to standard error."""
    chain: list[structlog.typing.Processor] = [
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
