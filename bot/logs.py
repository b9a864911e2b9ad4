"""Logs for operators: one line an event, names and numbers of ours only, never what people write."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

import structlog


class _WithoutWords(logging.Formatter):
    """Tracebacks without what the exceptions say: it may be what somebody wrote."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """Where it happened, and the kinds of what was raised."""
        lines: list[str] = []
        error = ei[1]
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            lines = [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}\n", *lines]
            error = error.__cause__ or error.__context__
        return "".join(lines).rstrip()

    def formatMessage(self, record: logging.LogRecord) -> str:
        """asyncio's own reports name a task with its exception: their first line says enough."""
        if record.name == "asyncio":
            record.message = record.message.partition("\n")[0]
        return super().formatMessage(record)


def configure(level: str) -> None:
    """Set up logging of this process."""
    number = logging.getLevelNamesMapping()[level]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutWords("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=number, handlers=[handler])
    for name in (
        "httpx",
        "httpcore",
        "telegram",
        "sqlalchemy",
        "psycopg",
        "asyncio",
        "rasa_sdk",
        "uvicorn.access",
    ):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.get_logger().debug("everything is told that may be told")
