"""What single links do by themselves: repeat, hedge, refuse, answer from memory. Each where its link stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import grpc

from trunkline import headers
from trunkline.policies.breaker import BreakerState
from trunkline.testing.clock import FakeClock
from trunkline.testing.conformance.chains import Chain, names
from trunkline.testing.conformance.expected import (
    UNAVAILABLE,
    Expected,
    Plan,
    answered,
    failed,
    left,
    refused_here,
    unknown,
)
from trunkline.testing.conformance.outcomes import Outcome, stuck
from trunkline.testing.conformance.plays import made
from trunkline.testing.conformance.rpcs import SHAPES, Rpc
from trunkline.testing.conformance.servicers import Script
from trunkline.testing.conformance.stage import Stage

TOO_LONG = "x" * 5000
"""A value that no contract of the bench allows."""
STALE_S = 6.0
"""Age of an answer of Cached that is stale, in seconds: its contract keeps it for five."""
RARELY = 0.01
"""Calls a second of one tenant: the second call comes too early."""
Fits = Callable[[Chain, Rpc], bool]


def acts() -> list[Outcome]:
    """All of them."""
    return [
        Outcome(name="recovers", play=made, expect=_recovered, script=_failing_once, fits=_with("retry")),
        Outcome(name="hedge", play=_hedged, expect=_answered_beside, script=_stuck_once, fits=_hedges),
        Outcome(name="hedge-cancelled", play=_both_cancelled, expect=_both_left, script=stuck, fits=_hedges),
        Outcome(name="hit", prime=_primed, play=made, expect=_from_memory, fits=_caches),
        Outcome(name="shared", play=_shared, expect=_one_for_both, script=_stuck_once, fits=_caches),
        Outcome(name="stale", prime=_aged, play=_stale_asked, expect=_stale, fits=_caches, clock=FakeClock),
        Outcome(name="open", prime=_opened, play=made, expect=_not_sent, fits=_with("breaker"), next=False),
        Outcome(name="no-token", play=made, expect=_no_token, fits=_with("credentials"), token=None, next=False),
        *_refusals(),
        Outcome(name="repeat", prime=_primed, play=_repeated, expect=_replayed, fits=_replays),
    ]


def _refusals() -> list[Outcome]:
    few, rare = {"max_concurrent_calls": 1}, {"rate_per_tenant": RARELY}
    return [
        Outcome(name="cancels-itself", play=made, expect=unknown, script=_cancelling, fits=_in("server.errors")),
        Outcome(name="shed", play=_shed, expect=_refused_beside, script=stuck, fits=_sheds, settings=few),
        Outcome(name="bad-token", play=made, expect=_bad_token, fits=_authenticates, token="nobody", next=False),  # noqa: S106
        Outcome(name="denied", play=made, expect=_denied, fits=_authorizes, access="service", next=False),
        Outcome(name="limited", prime=_primed, play=made, expect=_rare, fits=_limits, settings=rare, next=False),
        Outcome(name="invalid", play=_too_long, expect=_invalid, fits=_validates),
    ]


def _in(name: str) -> Fits:
    return lambda chain, _: chain.name in (name, "full")


def _with(link: str) -> Fits:
    return lambda chain, _: link in names(chain.client)


def _hedges(chain: Chain, rpc: Rpc) -> bool:
    return "retry" in names(chain.client) and rpc.method.hedge_delay_s > 0


def _caches(chain: Chain, rpc: Rpc) -> bool:
    return "cache" in names(chain.client) and rpc.method.cache_ttl_s > 0


def _replays(chain: Chain, rpc: Rpc) -> bool:
    return "idempotency" in names(chain.server) and rpc.method.mutates


def _sheds(chain: Chain, rpc: Rpc) -> bool:
    return _in("server.concurrency")(chain, rpc) and rpc.name in SHAPES


def _authenticates(chain: Chain, _: Rpc) -> bool:
    return "authentication" in names(chain.server)


def _authorizes(chain: Chain, _: Rpc) -> bool:
    return "authorization" in names(chain.server)


def _limits(chain: Chain, rpc: Rpc) -> bool:
    return "rate_limit" in names(chain.server) and not _caches(chain, rpc)


def _validates(chain: Chain, rpc: Rpc) -> bool:
    return _in("server.validation")(chain, rpc) and not rpc.method.mutates


def _failing_once(_: Rpc) -> Script:
    return Script(codes=(UNAVAILABLE,))


def _stuck_once(_: Rpc) -> Script:
    return Script(stuck=1)


def _cancelling(_: Rpc) -> Script:
    return Script(raises=asyncio.CancelledError())


async def _primed(stage: Stage) -> None:
    await stage.ended(stage.calling())


async def _aged(stage: Stage) -> None:
    await _primed(stage)
    assert isinstance(stage.clock, FakeClock)
    stage.clock.advance(STALE_S)
    stage.script.codes = (UNAVAILABLE,) * 5


async def _opened(stage: Stage) -> None:
    stage.peer.breakers[stage.plan.rpc.method.path] = stage.opened_breaker(0.0)


async def _hedged(stage: Stage) -> None:
    caller = stage.calling()
    await stage.stuck()
    stage.hedge_due.set()
    await stage.ended(caller)


async def _both_cancelled(stage: Stage) -> None:
    caller = stage.calling()
    await stage.stuck()
    stage.hedge_due.set()
    await stage.stuck(2)
    caller.call.cancel()
    await stage.ended(caller)


async def _shared(stage: Stage) -> None:
    first = stage.calling()
    await stage.stuck()
    second = stage.calling()
    await asyncio.sleep(0)
    first.task.cancel()
    await stage.ended(first)
    if first.seen.raised != "CancelledError":
        stage.problems.append(f"who leaves the others is told {first.seen.raised or 'an answer'}")
    stage.script.release.set()
    await stage.ended(second)


async def _stale_asked(stage: Stage) -> None:
    caller = stage.calling()
    await stage.ended(caller)
    if caller.call.stale_age_s != STALE_S:
        stage.problems.append(f"stale_age_s is {caller.call.stale_age_s}, not {STALE_S}")


async def _repeated(stage: Stage) -> None:
    caller = stage.calling()
    await stage.ended(caller)
    if dict(await caller.call.trailing_metadata()).get(headers.REPLAYED) != "1":
        stage.problems.append("the repeat is not marked as replayed")


async def _shed(stage: Stage) -> None:
    running = stage.calling("other", held=True)
    await stage.stuck()
    shed = stage.calling()
    await stage.ended(shed)
    running.call.cancel()
    await stage.ended(running)
    stage.seen = shed.seen


async def _too_long(stage: Stage) -> None:
    await stage.ended(stage.calling(TOO_LONG))


def _recovered(plan: Plan) -> Expected:
    if plan.attempts == 1:
        return failed(plan, UNAVAILABLE, "AS_ASKED")
    told = {"UNAVAILABLE": 1, "OK": 1}
    return replace(answered(plan), handled=2, attempts=told, served=told, retries=1)


def _answered_beside(plan: Plan) -> Expected:
    told = {"OK": 1, "CANCELLED": 1}
    return replace(answered(plan), handled=2, stopped=1, attempts=told, served=told, hedges=1)


def _both_left(plan: Plan) -> Expected:
    told = {"CANCELLED": 2}
    return replace(left(plan), handled=2, stopped=2, attempts=told, served=told, hedges=1)


def _from_memory(plan: Plan) -> Expected:
    return replace(answered(plan), handled=0, attempts={}, served={}, cached={"hit": 1})


def _one_for_both(plan: Plan) -> Expected:
    return replace(answered(plan), calls={"CANCELLED": 1, "OK": 1}, cached={"miss": 1, "shared": 1})


def _stale(plan: Plan) -> Expected:
    tried = failed(plan, UNAVAILABLE, "")
    return replace(tried, code=grpc.StatusCode.OK, messages=1, calls={"OK": 1}, cached={"miss": 1, "stale": 1})


def _not_sent(_: Plan) -> Expected:
    return replace(refused_here("BREAKER_OPEN"), breaker=BreakerState.OPEN)


def _no_token(_: Plan) -> Expected:
    return refused_here("CREDENTIAL_MISSING")


def _refused_beside(plan: Plan) -> Expected:
    told = {"RESOURCE_EXHAUSTED": plan.attempts, "CANCELLED": 1}
    found = failed(plan, grpc.StatusCode.RESOURCE_EXHAUSTED, "CONCURRENCY_LIMIT")
    calls = {"RESOURCE_EXHAUSTED": 1, "CANCELLED": 1}
    return replace(found, handled=1, stopped=1, attempts=told, served=told, calls=calls, retries=plan.attempts - 1)


def _bad_token(plan: Plan) -> Expected:
    return failed(plan, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", reached=False)


def _denied(plan: Plan) -> Expected:
    return failed(plan, grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", reached=False)


def _rare(plan: Plan) -> Expected:
    return failed(plan, grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT", reached=False)


def _invalid(plan: Plan) -> Expected:
    # The handler of a stream runs when its first request is read.
    streams = plan.rpc.method.client_streaming
    return failed(plan, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID", reached=streams)


def _replayed(plan: Plan) -> Expected:
    return replace(answered(plan), handled=0)
