"""Links of the client chain that count, trace and log: one round the call, one round every attempt that is sent."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from trunkline import headers
from trunkline.call import new_request_id
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.telemetry.logs import client_logger
from trunkline.telemetry.traces import TRACES

ClientPolicy = Policy[ClientCall, Any]
_TRACE_ID = slice(3, 35)
_log = client_logger("trunkline.client")


def telemetry(method: Method, peer: Peer) -> ClientPolicy:
    """Names the request for everything below; counts and traces the call, and tells of its failure."""
    told, tracer, timer = peer.told(method.path), TRACES.client(peer.name, method.path), time.perf_counter

    def ended(call: ClientCall, code: str, error: ServiceError | None, started: float) -> None:
        told.call_ended(code, timer() - started)
        if call.trace is not None:
            call.trace.ended(code, error.reason if error else "", stale=call.stale_age_s is not None)
        if error is not None:
            _tell(peer, call, error)

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        inbound = call.inbound
        request_id = inbound.request_id if inbound is not None else new_request_id()
        traceparent, call.trace = tracer.begin(inbound.trace if inbound is not None else "", request_id)
        if traceparent:
            call.metadata.append((headers.TRACEPARENT, traceparent))
        if traceparent[_TRACE_ID] != request_id:
            # Else the trace's id says it: one header less on every call.
            call.metadata.append((headers.REQUEST_ID, request_id))
        started = timer()
        try:
            reply = await proceed(call)
        except ServiceError as error:
            ended(call, error.code.name, error, started)
            raise
        except BaseException as error:
            ended(call, _code_of(error), None, started)
            raise
        if isinstance(reply, Reply):
            reply.on_end(lambda error, complete: ended(call, _code(error, complete), error, started))
        else:
            ended(call, "OK", None, started)
        return reply

    return policy


def attempts(method: Method, peer: Peer) -> ClientPolicy:
    """Counts and traces every attempt that is sent."""
    told, timer = peer.told(method.path), time.perf_counter

    def ended(trace: Any, code: str, error: ServiceError | None, started: float) -> None:
        told.attempt_ended(code, timer() - started)
        if trace is not None:
            trace.ended(code, error.reason if error else "")

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        trace = None
        if call.trace is not None:
            trace = call.trace.attempt(call.attempts or 1)
            call.attempt_metadata.extend(trace.metadata)
        told.attempt_started()
        started = timer()
        try:
            reply = await proceed(call)
        except ServiceError as error:
            ended(trace, error.code.name, error, started)
            raise
        except BaseException as error:
            ended(trace, _code_of(error), None, started)
            raise
        if isinstance(reply, Reply):
            reply.on_end(lambda error, complete: ended(trace, _code(error, complete), error, started))
        else:
            ended(trace, "OK", None, started)
        return reply

    return policy


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
