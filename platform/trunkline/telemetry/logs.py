"""Structured logs: one JSON object a line, with the request id of the call they belong to, and its trace."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from trunkline.call import current_call
from trunkline.settings import redacted
from trunkline.telemetry.card_numbers import masked
from trunkline.telemetry.spans import current_trace_id

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
TEXT_LIMIT = 2000
"""Longer texts are cut, in characters."""
SHORT = 12
"""A text of no more characters holds no address with a password, no token and no card number."""
IDS = frozenset({"error_id", "method", "request_id", "timestamp", "trace_id"})
"""Fields of our own making: an id may look like a card number, and must be found as it is."""
_TOKEN = re.compile(r"(?i:bearer\s+)[\w.~+/=-]{8,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
TRACE_LIMIT = 8000
"""Of a stack trace, the last so many characters stay."""


def client_logger(name: str) -> Any:
    """A logger for what runs in other people's programs: warnings and worse, until they configure their logs."""
    wrapper: Any = _wrapper
    return structlog.wrap_logger(None, wrapper_class=wrapper, logger_factory_args=(name,))


def _wrapper(*args: Any, **kwargs: Any) -> Any:
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    kind: Any = structlog.get_config()["wrapper_class"] if structlog.is_configured() else quiet
    return kind(*args, **kwargs)


def configure_logs(service: str, level: str, worker: int = 0) -> None:
    """Sends every log line of this process to standard output as JSON; with its number, if it is a worker."""
    structlog.configure(
        processors=[
            _named(service, worker),
            _call_fields,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _bounded,
            _redacted,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


class _Bridge(logging.Handler):
    """Carries what libraries log with the standard library into the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        logger.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _named(service: str, worker: int) -> structlog.typing.Processor:
    def name(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        if worker:
            event.setdefault("worker", worker)
        return event

    return name


def _call_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    call = current_call()
    if call is not None:
        event.setdefault("request_id", call.request_id)
        event.setdefault("method", call.method)
        if call.tenant_id:
            event.setdefault("tenant", call.tenant_id)
    trace_id = current_trace_id()
    if trace_id:
        event.setdefault("trace_id", trace_id)
    return event


def _bounded(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > TEXT_LIMIT:
            # The end of a stack trace says what happened; of anything else the beginning does.
            event[key] = "…" + value[-TRACE_LIMIT:] if key == "exception" else value[:TEXT_LIMIT] + "…"
    return event


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hides what must not be at rest, wherever it stands: a library's exception may hold an address or a token."""
    for key, value in event.items():
        if isinstance(value, str) and len(value) > SHORT and key not in IDS:
            event[key] = masked(_TOKEN.sub("[token]", redacted(value)))
    return event
