"""Structured logs: one JSON object a line, with the request id of the call they belong to, and its trace.

What is logged is made a line where it is logged, and written by a thread of its own: who logs never waits.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import structlog

from trunkline.call import current_call
from trunkline.redaction import redacted
from trunkline.telemetry.card_numbers import card_data_in, masked
from trunkline.telemetry.lines import Lines, writer
from trunkline.telemetry.spans import current_trace_id

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
TEXT_LIMIT = 2000
"""Longer texts are cut, in characters."""
SHORT = 12
"""A text of no more characters holds no address with a password, no token and no card number."""
IDS = frozenset({"error_id", "method", "request_id", "timestamp", "trace_id"})
"""Fields of our own making: an id may look like a card number, and must be found as it is."""
SECRETS = frozenset(
    {"api_key", "authorization", "cookie", "credential", "passwd", "password", "pin", "private_key", "secret", "token"}
)
"""Fields whose value is never told, whatever it is."""
ITEMS = 50
"""Values of a list or mapping that are told."""
DEPTH = 8
"""Lists and mappings inside each other that are told."""
_TOKEN = re.compile(r"(?i:bearer\s+)[\w.~+/=-]{8,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_CREDENTIAL = re.compile(r"(?<![\w-])([\w-]{2,64}\.)[\w-]{43}(?![\w-])")
"""Our own: an id, which is no secret, a dot, and 32 bytes in base64."""
_LEAST_CREDENTIAL = len("id.") + 43
_SHORTEST_CARD = 10**13
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
    lines = Lines(writer(sys.stdout), lambda lost: _lost(service, worker, lost))
    structlog.configure(
        processors=[
            _named(service, worker),
            _call_fields,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _told,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)
    # It warns of each part of a `tracestate` that it cannot read, in full: a line that any caller can have written.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)


_CALLER_LEFT = "ExecuteBatchError raised in core by servicer method"
"""How grpc tells, as an error with a traceback, that it could not send an answer: its caller had left."""


class _Bridge(logging.Handler):
    """Carries what libraries log with the standard library into the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's mistake in what it logs is not worth a traceback on stderr
            text = str(record.msg)
        logger = structlog.get_logger(record.name)
        if text.startswith(_CALLER_LEFT):
            logger.debug("the caller left while it was answered", logger=record.name)
            return
        logger.log(record.levelno, text, logger=record.name, exc_info=record.exc_info)


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


def _told(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cuts what is long, and hides what must not be at rest, wherever it stands."""
    for name, value in event.items():
        kind = type(value)
        if (kind is str and len(value) <= SHORT) or kind is float or value is None:
            continue
        if name in SECRETS:
            event[name] = "[redacted]"
        elif name == "exception":
            # The end of a stack trace says what happened; of anything else the beginning does.
            text = str(value)
            event[name] = (
                _safe(text) if len(text) <= TEXT_LIMIT else "…" + _safe(text[-2 * TRACE_LIMIT :])[-TRACE_LIMIT:]
            )
        elif name not in IDS:
            event[name] = _value(value, DEPTH)
        elif len(str(value)) > TEXT_LIMIT:
            event[name] = str(value)[:TEXT_LIMIT] + "…"
    return event


def safe_value(value: Any, name: str = "") -> Any:
    """A value without what must not be at rest, and not too long; of a field of that name."""
    return _inside(name, value, DEPTH)


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return _text(str(value)) if abs(value) >= _SHORTEST_CARD and card_data_in(str(value)) else value
    if depth and isinstance(value, Mapping):
        return {_text(str(name)): _inside(name, one, depth) for name, one in islice(value.items(), ITEMS)}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_value(one, depth - 1) for one in islice(value, ITEMS)]
    return _text(str(value))


def _inside(name: object, value: Any, depth: int) -> Any:
    return "[redacted]" if name in SECRETS and value else _value(value, depth - 1)


def _text(text: str) -> str:
    if len(text) <= SHORT:
        return text
    # Hidden before it is cut, but never more than twice of what is shown: half a secret is told as one.
    return _safe(text) if len(text) <= TEXT_LIMIT else _safe(text[: 2 * TEXT_LIMIT])[:TEXT_LIMIT] + "…"


def _safe(text: str) -> str:
    if "://" in text or "password=" in text:
        text = redacted(text)
    if "eyJ" in text or "earer" in text or "EARER" in text:
        text = _TOKEN.sub("[token]", text)
    if len(text) >= _LEAST_CREDENTIAL and "." in text:
        text = _CREDENTIAL.sub(r"\1[secret]", text)
    return masked(text)


def _lost(service: str, worker: int, lines: int) -> str:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"lost": lines, "event": "log lines were lost: nobody read them", "service": service}
    return json.dumps({**told, **({"worker": worker} if worker else {}), "level": "warning", "timestamp": now})
