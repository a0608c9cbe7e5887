"""Links of the client chain for reads whose contract declares a cache: kept answers, shared calls, stale answers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from trunkline.call import InboundCall
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.answers import Flight, Kept, Key
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.policies.breaker import SERVER_FAULTS

STALE_FOR = SERVER_FAULTS | {"RESOURCE_EXHAUSTED"}
"""Failures that an old answer may stand in for: the server could not be had. What it says itself is never replaced."""


def cache(method: Method, peer: Peer) -> Policy[ClientCall, Any] | None:
    """Answers reads whose contract allows it from memory, and asks once for all who ask the same at once."""
    if not method.cache_ttl_s or method.client_streaming or method.server_streaming:
        return None
    kept, clock = peer.answers, peer.clock
    kept.depend_on(method.invalidated_by)

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        if call.names_caller:
            # What is kept is kept for whom this process knows to ask; this caller it does not know.
            return await proceed(call)
        key = (method.path, _for_whom(call.inbound), call.request.SerializeToString(deterministic=True))
        found = kept.get(key)
        if found is not None and clock.monotonic() - found.received_at < method.cache_ttl_s:
            peer.told(method.path).cached("hit")
            return method.response_type.FromString(found.answer)
        try:
            return method.response_type.FromString(await _shared(method, peer, key, call, proceed))
        except ServiceError as error:
            age_s = _stale_age_s(method, peer, key)
            if age_s is None or error.code.name not in STALE_FOR:
                raise
            peer.told(method.path).cached("stale")
            call.stale_age_s = age_s
            old = kept.get(key)
            assert old is not None
            return method.response_type.FromString(old.answer)

    return policy


def _stale_age_s(method: Method, peer: Peer, key: Key) -> float | None:
    """Seconds since a kept answer was given, if it may still stand in for a failure."""
    found = peer.answers.get(key)
    if found is None:
        return None
    age_s = peer.clock.monotonic() - found.received_at
    return age_s if age_s < method.cache_ttl_s + method.stale_if_error_s else None


async def _shared(method: Method, peer: Peer, key: Key, call: ClientCall, proceed: Proceed[ClientCall, Any]) -> bytes:
    """The answer of one call for all who ask the same while it runs."""
    flight = peer.answers.flights.get(key)
    peer.told(method.path).cached("miss" if flight is None else "shared")
    while flight is not None:
        try:
            async with asyncio.timeout(call.deadline - peer.clock.monotonic()):
                return await _joined(peer, key, flight)
        except ServiceError as error:
            if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED or call.deadline <= flight.deadline:
                raise
        except TimeoutError:
            raise _too_late() from None
        # Only the other's time was over. The first of those who still wait asks again, for all of them.
        flight = peer.answers.flights.get(key)
    return await _joined(peer, key, _take_off(method, peer, key, call, proceed))


def _take_off(method: Method, peer: Peer, key: Key, call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Flight:
    async def fly() -> bytes:
        generation = peer.answers.generation
        message = await proceed(call)
        answer: bytes = message.SerializeToString()
        # What was asked before an event may show what was before it.
        if generation == peer.answers.generation:
            tenant = call.inbound.tenant_id if call.inbound else ""
            peer.answers.put(key, Kept(answer, peer.clock.monotonic(), tenant, method.invalidated_by))
        return answer

    # A task: whoever came first may leave while others still wait.
    flight = peer.answers.flights[key] = Flight(asyncio.get_running_loop().create_task(fly()), call.deadline)
    flight.task.add_done_callback(lambda task: _landed(peer, key, flight, task))
    return flight


def _landed(peer: Peer, key: Key, flight: Flight, task: asyncio.Task[bytes]) -> None:
    if peer.answers.flights.get(key) is flight:
        del peer.answers.flights[key]
    if not task.cancelled():
        task.exception()  # told to whoever waited; asyncio need not complain where all have left


async def _joined(peer: Peer, key: Key, flight: Flight) -> bytes:
    flight.waiting += 1
    try:
        await asyncio.wait({flight.task})
    finally:
        flight.waiting -= 1
        if not flight.waiting and not flight.task.done():
            if peer.answers.flights.get(key) is flight:
                del peer.answers.flights[key]
            flight.task.cancel()
    answer: bytes = flight.task.result()
    return answer


def _too_late() -> ServiceError:
    return platform_error(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_EXPIRED",
        "the answer, which others wait for too, was late",
    )


def _for_whom(inbound: InboundCall | None) -> str:
    if inbound is None:
        return ""
    caller = inbound.caller
    return f"{inbound.tenant_id}\n{caller.subject}\n{caller.credential_id}" if caller else inbound.tenant_id
