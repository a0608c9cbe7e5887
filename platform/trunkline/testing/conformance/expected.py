"""What is right: how a call ends for its caller, what the server sees of it, and what is counted.

It follows from the contract and the links that are there; nothing here looks at how a link works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import grpc

from trunkline.policies.breaker import SERVER_FAULTS, BreakerState
from trunkline.testing.conformance.rpcs import Rpc

OK = grpc.StatusCode.OK
CANCELLED = grpc.StatusCode.CANCELLED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Plan:
    """What a case is about."""

    rpc: Rpc
    """What is called."""
    client: frozenset[str]
    """Links of the client."""
    server: frozenset[str]
    """Links of the server."""
    most_attempts: int
    """Attempts that the platform's settings allow."""
    half_open: bool = False
    """The call is the probe of a breaker that was open; nothing repeats it."""

    @property
    def attempts(self) -> int:
        """Attempts of a call whose every attempt is UNAVAILABLE. A stream of requests is consumed by its first."""
        if "retry" not in self.client or self.rpc.method.client_streaming:
            return 1
        return self.rpc.method.max_attempts or self.most_attempts

    @property
    def hedged(self) -> bool:
        """A slow attempt is hedged."""
        return "retry" in self.client and self.rpc.method.hedge_delay_s > 0

    @property
    def caches(self) -> bool:
        """Answers are kept."""
        return "cache" in self.client and self.rpc.method.cache_ttl_s > 0

    @property
    def secured(self) -> bool:
        """The caller shows a token."""
        return "credentials" in self.client


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The one right outcome."""

    code: grpc.StatusCode = OK
    """What the call object says; OK and CANCELLED apart, it is that of the ServiceError too."""
    reason: str = ""
    """Of the ServiceError; empty where there is none: the call is answered, or ends with CancelledError."""
    messages: int = 0
    """Messages that the caller received."""
    handled: int = 0
    """Calls that reached the handler."""
    stopped: int = 0
    """Of these, those whose handler was cancelled."""
    attempts: Mapping[str, int] = field(default_factory=dict)
    """Attempts that were sent, by how they ended."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """Calls, by how they ended."""
    served: Mapping[str, int] = field(default_factory=dict)
    """Calls that the server saw, by how they ended."""
    retries: int = 0
    """Attempts made because another had failed."""
    hedges: int = 0
    """Attempts made because another was slow."""
    cached: Mapping[str, int] = field(default_factory=dict)
    """What the cache did, if not a miss for each call."""
    breaker: BreakerState = BreakerState.CLOSED
    """State of the breaker afterwards."""

    def after(self, plan: Plan, verdict: bool | None) -> Expected:
        """The same, with the breaker as it is after a verdict: True good, False bad, None that none was reached."""
        if not plan.half_open:
            return self
        states = {True: BreakerState.CLOSED, False: BreakerState.OPEN, None: BreakerState.HALF_OPEN}
        return replace(self, breaker=states[verdict])


def answered(plan: Plan) -> Expected:
    """All goes well."""
    once = {"OK": 1}
    return Expected(messages=plan.rpc.answers, handled=1, attempts=once, calls=once, served=once)


def failed(plan: Plan, code: grpc.StatusCode, reason: str, *, reached: bool = True) -> Expected:
    """Every attempt fails with a code. reached: the handler says so, or else the server before it."""
    number = plan.attempts if code is UNAVAILABLE else 1
    told = {code.name: number}
    return Expected(
        code=code,
        reason=reason,
        handled=number if reached else 0,
        attempts=told,
        calls={code.name: 1},
        served=told,
        retries=number - 1,
    ).after(plan, code.name not in SERVER_FAULTS)


def refused_here(reason: str) -> Expected:
    """Nothing is sent."""
    return Expected(code=UNAVAILABLE, reason=reason, calls={"UNAVAILABLE": 1})


def left(plan: Plan, *, messages: int = 0) -> Expected:
    """The caller goes away: no verdict, except on a stream that has answered one request already."""
    once = {"CANCELLED": 1}
    proven = True if messages and not plan.rpc.method.client_streaming else None
    return Expected(
        code=CANCELLED, messages=messages, handled=1, stopped=1, attempts=once, calls=once, served=once
    ).after(plan, proven)


def failed_late(plan: Plan, reason: str = "AS_ASKED") -> Expected:
    """A streaming reply fails with UNAVAILABLE after its first message: that is not repeated."""
    told = {"UNAVAILABLE": 1}
    found = Expected(code=UNAVAILABLE, reason=reason, messages=1, handled=1, attempts=told, calls=told, served=told)
    # A probe that asks once is proven by the first message; of a chat nothing is known before its end.
    return found.after(plan, not plan.rpc.method.client_streaming)


def unknown(plan: Plan) -> Expected:
    """The handler ends with what nobody knows."""
    return failed(plan, grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")


def not_found(plan: Plan) -> Expected:
    """The handler says NOT_FOUND."""
    return failed(plan, grpc.StatusCode.NOT_FOUND, "AS_ASKED")


def never_sent(plan: Plan) -> Expected:
    """The caller goes away before anything is sent. A breaker that was open stays so."""
    return Expected(code=CANCELLED).after(plan, False)


def expired(plan: Plan) -> Expected:
    """The handler takes all the time there is."""
    found = replace(failed(plan, grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED"), stopped=1)
    # Without its deadline link the server sees no more than that its caller has gone.
    return found if "deadline" in plan.server else replace(found, served={"CANCELLED": 1})


def unreachable(plan: Plan) -> Expected:
    """The server is gone while its handler runs, and stays away."""
    found = failed(plan, UNAVAILABLE, "PEER_UNREACHABLE")
    return replace(found, handled=1, stopped=1, served={"CANCELLED": 1})


def cut(plan: Plan) -> Expected:
    """The connection is gone while the handler runs; a second attempt finds a new one, and is answered."""
    if plan.attempts == 1:
        return unreachable(plan)
    told = {"UNAVAILABLE": 1, "OK": 1}
    served = {"CANCELLED": 1, "OK": 1}
    return replace(answered(plan), handled=2, stopped=1, attempts=told, served=served, retries=1)


def cut_late(plan: Plan) -> Expected:
    """The connection is gone after the first message of a streaming reply: that is not repeated."""
    return replace(failed_late(plan, "PEER_UNREACHABLE"), stopped=1, served={"CANCELLED": 1})


def unread(plan: Plan) -> Expected:
    """Nobody waits for the call. A unary one runs to its end all the same, here to NOT_FOUND."""
    return left(plan) if plan.rpc.streams else not_found(plan)


def left_late(plan: Plan) -> Expected:
    """The caller goes away after the first message of a streaming reply."""
    return left(plan, messages=1)
