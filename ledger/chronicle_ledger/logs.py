"""Structured logs: one JSON object a line (or coloured text), with the request's id where there is a request."""

from __future__ import annotations

import logging
import logging.config
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

from chronicle_ledger.concealed import without_passwords


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record without the passwords of the URLs that the process was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return without_passwords(super().format(record))


def configure(level: str = "info", style: Literal["json", "console"] = "json") -> None:
    """Send structlog's and the standard library's records to stderr in one format (stdout is for data)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    ending: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if style == "json"
        # Plain tracebacks: rich ones print local variables, a request's headers and its key among them.
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their info lines repeat what the service says itself.
    for noisy in ("uvicorn", "psycopg.pool", "nats"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # Its warnings are about what callers send that is no HTTP, a line each, as many as callers like.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log = logs.get(__name__)`, then `log.info("event", figure=1)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
