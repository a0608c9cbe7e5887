"""The link of the server chain that counts, traces and logs."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping

import structlog

from trunkline import headers
from trunkline.call import InboundCall, became_current, new_request_id
from trunkline.foreground import BACKGROUND, FOREGROUND
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.overload import limited
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.policies.concurrency import MethodLatency
from trunkline.policies.deadline import hopeless
from trunkline.telemetry import audit
from trunkline.telemetry.card_numbers import refusable
from trunkline.telemetry.messages import shown
from trunkline.telemetry.metrics import METRICS
from trunkline.telemetry.server_traces import ServerTrace, ServerTracer
from trunkline.telemetry.throttle import ThrottledLines
from trunkline.telemetry.trace_context import TRACE_ID
from trunkline.telemetry.traces import TRACES

_OWN_ID = re.compile(r"[0-9a-f]{32}").fullmatch
REFUSALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
"""Codes of calls that were not allowed."""
_log = structlog.get_logger("trunkline.server")


def telemetry(method: Method, host: Host) -> ServerPolicy:
    """Makes the call the current one; counts and traces it, and tells of its outcome in one line."""
    lines = _Lines(method, host)
    limit, latency = host.limit, MethodLatency() if limited(method) else None
    foreground = not method.service.startswith(BACKGROUND)
    told, tracer, timer = METRICS.server(method.path), TRACES.server(method.path), time.perf_counter
    # Every client watches the health of every server: nothing to tell.
    verbose, exempt = lines.verbose, method.service in EXEMPT_SERVICES

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        inbound = call.inbound
        call.trace = None if exempt else _name(inbound, call.metadata, tracer)
        became_current(inbound)
        told.started()
        host.running += 1
        started = timer()
        if latency is not None:
            limit.began()
            if foreground:
                FOREGROUND.began = started
        code, answer = "OK", None
        try:
            answer = await proceed(call)
        except asyncio.CancelledError:
            code = "DEADLINE_EXCEEDED" if _is_over(inbound) else "CANCELLED"
            raise
        except BaseException:
            code = call.error.code.name if call.error else "INTERNAL"
            raise
        finally:
            ended = timer()
            seconds = ended - started
            host.running -= 1
            if latency is None:
                pass
            elif code == "OK":
                limit.served(latency, seconds, ended)
            elif code == "DEADLINE_EXCEEDED" and call.request is not None:
                limit.dropped(ended)
            else:
                # A caller that gives no time, or sends no request, says nothing of the server.
                limit.left()
            told.ended(code, seconds)
            if (verbose or code != "OK") and not exempt:
                lines.tell(call, code, seconds, answer)
            if call.trace is not None:
                # After the line, which has the id of the trace while the trace lasts.
                _trace(call, code)
        return answer

    return policy


def _name(inbound: InboundCall, metadata: Mapping[str, str | bytes], tracer: ServerTracer) -> ServerTrace | None:
    """Gives the call its request id: the one that was sent, else the id of its trace, else a new one."""
    sent = metadata.get(headers.REQUEST_ID)
    request_id = sent if isinstance(sent, str) and _may_name(sent) else ""
    traceparent = metadata.get(headers.TRACEPARENT)
    if traceparent is None:
        request_id = request_id or new_request_id()
    inbound.trace, trace = tracer.begin(traceparent, metadata.get(headers.TRACESTATE), request_id)
    inbound.request_id = request_id or inbound.trace[TRACE_ID] or new_request_id()
    return trace


def _may_name(sent: str) -> bool:
    # It stands in logs, traces and events, as it is.
    return _OWN_ID(sent) is not None or (headers.is_plain(sent) and not refusable(sent))


def _is_over(inbound: InboundCall) -> bool:
    # gRPC's clock ends the call, by our reckoning sometimes some milliseconds early.
    return inbound.deadline is not None and hopeless(inbound.clock.monotonic(), inbound.deadline)


def _trace(call: ServerCall, code: str) -> None:
    reason = call.error.reason if call.error else ""
    replayed = (headers.REPLAYED, "1") in (call.trailers or ())
    call.trace.ended(code, reason, tenant_id=call.inbound.tenant_id, replayed=replayed)


class _Lines:
    """The lines of one method. Floods of refusals and failures are throttled; calls that are audited are not."""

    def __init__(self, method: Method, host: Host) -> None:
        self._method = method
        self._host = host
        # What went well is told at debug only, unless it is asked for: a line a call costs a tenth of it.
        self._debug = _log.is_enabled_for(logging.DEBUG)
        self._always = host.log_messages == "always"
        self.verbose = method.audit or self._debug or self._always
        """Calls that went well leave a line, too."""
        self._failed = ThrottledLines(_served, host.clock.monotonic)
        self._refused = ThrottledLines(_refused, host.clock.monotonic)

    def tell(self, call: ServerCall, code: str, seconds: float, answer: bytes | None) -> None:
        """Tells of a call that has ended."""
        ms = round(seconds * 1000, 2)
        if code in REFUSALS:
            self._refused.tell(self._same(call, code), why=getattr(call.error, "why", None), **_audited(call), ms=ms)
        elif self._method.audit:
            audit.write("called", **self._same(call, code), **_audited(call), ms=ms)
        messages = _messages(call, self._host, code, answer)
        if self._always:
            _served(**self._same(call, code), ms=ms, **messages)
        elif code == "OK":
            if self._debug:
                _log.debug("served", **self._same(call, code), ms=ms, **messages)
        elif code not in REFUSALS:
            self._failed.tell(self._same(call, code), ms=ms, **messages)

    def _same(self, call: ServerCall, code: str) -> dict[str, object]:
        principal = call.inbound.principal
        return {
            "method": self._method.path,
            "code": code,
            "reason": call.error.reason if call.error else None,
            "caller": principal.subject if principal else None,
        }


def _served(**fields: object) -> None:
    _log.info("served", **fields)


def _refused(**fields: object) -> None:
    audit.write("refused", **fields)


def _audited(call: ServerCall) -> dict[str, object]:
    inbound = call.inbound
    fields = {name: value for name, value in audit.who(inbound).items() if name != "caller"}
    return fields | {"peer": call.context.peer(), "trace_id": inbound.trace[TRACE_ID]}


def _messages(call: ServerCall, host: Host, code: str, answer: bytes | None) -> dict[str, object]:
    if host.log_messages == "never" or (host.log_messages == "failures" and code == "OK"):
        return {}
    response = call.method.response_type.FromString(answer) if answer is not None else None
    return shown(request=call.request, response=response)
