"""Logging: one line per event, logfmt or JSON, without control characters."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")


def _printable(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Texts from AWS, DNS and tags are others' words: they must not drive a terminal."""
    return {key: clean(v) if isinstance(v, str) else v for key, v in event.items()}


def clean(text: str) -> str:
    """Return the text with every character that does not print escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configure(level: str, form: str, stream: TextIO = sys.stderr) -> None:
    """Send this program's events, and the warnings of its libraries, to the stream."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=("ts", "level", "msg", "collector", "account", "region"), drop_missing=True
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _printable,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries at debug would print request bodies, credentials of STS among them.
    root.setLevel(logging.WARNING)
    # A role that cannot be assumed is told by its collector, without botocore's traceback.
    logging.getLogger("botocore.credentials").setLevel(logging.CRITICAL)
    logging.getLogger("exporter").setLevel(level.upper())
