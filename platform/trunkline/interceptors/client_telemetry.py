"""Links of the client chain that count, trace and log: one round the call, one round every attempt that is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from trunkline import headers
from trunkline.call import new_request_id
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.telemetry.logs import client_logger
from trunkline.telemetry.trace_context import TRACE_ID
from trunkline.telemetry.traces import TRACES

ClientPolicy = Policy[ClientCall, Any]
_log = client_logger("trunkline.client")


def telemetry(method: Method, peer: Peer) -> ClientPolicy:
    """Names the request for everything below; counts and traces the call, and tells of its failure."""
    told, tracer, timer = peer.told(method.path), TRACES.client(peer.name, method.path), time.perf_counter
    answered = told.calls["OK"]

    def ended(call: ClientCall, started: float, error: ServiceError | None, code: str) -> None:
        told.call_ended(code, timer() - started)
        if call.trace is not None:
            call.trace.ended(code, error.reason if error else "", stale=call.stale_age_s is not None)
        if error is not None:
            _tell(peer, call, error)

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        inbound = call.inbound
        if inbound is None:
            request_id = new_request_id()
            traceparent, call.trace = tracer.begin_root(request_id)
        else:
            request_id = inbound.request_id
            traceparent, call.trace = tracer.begin(inbound.trace, request_id)
        if traceparent:
            call.metadata.append((headers.TRACEPARENT, traceparent))
        if traceparent[TRACE_ID] != request_id:
            # Else the trace's id says it: one header less on every call.
            call.metadata.append((headers.REQUEST_ID, request_id))
        started = timer()
        try:
            reply = await proceed(call)
        except ServiceError as error:
            ended(call, started, error, error.code.name)
            raise
        except BaseException as error:
            ended(call, started, None, _code_of(error))
            raise
        if isinstance(reply, Reply):
            _at_end(reply, partial(ended, call, started))
        elif call.trace is None:
            answered.add(timer() - started)
        else:
            ended(call, started, None, "OK")
        return reply

    return policy


def attempts(method: Method, peer: Peer) -> ClientPolicy:
    """Counts and traces every attempt that is sent."""
    told, timer = peer.told(method.path), time.perf_counter
    answered = told.attempts["OK"]

    def ended(trace: Any, started: float, error: ServiceError | None, code: str) -> None:
        told.attempt_ended(code, timer() - started)
        if trace is not None:
            trace.ended(code, error.reason if error else "")

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        trace = None
        if call.trace is not None:
            trace = call.trace.attempt(call.attempts or 1)
            call.attempt_metadata.extend(trace.metadata)
        told.started += 1
        started = timer()
        try:
            reply = await proceed(call)
        except ServiceError as error:
            ended(trace, started, error, error.code.name)
            raise
        except BaseException as error:
            ended(trace, started, None, _code_of(error))
            raise
        if isinstance(reply, Reply):
            _at_end(reply, partial(ended, trace, started))
        elif trace is None:
            answered.add(timer() - started)
        else:
            ended(trace, started, None, "OK")
        return reply

    return policy


def _at_end(reply: Reply, ended: Callable[[ServiceError | None, str], None]) -> None:
    # Apart from the links: a closure there would make their variables cells, which every unary call would pay for.
    reply.on_end(lambda error, complete: ended(error, _code(error, complete)))


def _code(error: ServiceError | None, complete: bool) -> str:
    if error is not None:
        return error.code.name
    return "OK" if complete else "CANCELLED"


def _code_of(error: BaseException) -> str:
    return "CANCELLED" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "UNKNOWN"


def _tell(peer: Peer, call: ClientCall, error: ServiceError) -> None:
    _log.debug(
        "call failed",
        peer=peer.name,
        peer_method=call.method.path,
        code=error.code.name,
        reason=error.reason,
        attempts=call.attempts,
        **peer.shown(request=call.request),
    )
