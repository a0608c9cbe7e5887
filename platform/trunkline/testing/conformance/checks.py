"""Compares what happened with what is right: the caller, the server's own count, metrics, the breaker, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from trunkline import headers
from trunkline.policies.breaker import SERVER_FAULTS
from trunkline.telemetry.durations import Durations
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.conformance.expected import CANCELLED, OK, Expected, Plan
from trunkline.testing.conformance.stage import LONG_AGO_S, Seen, Stage

TARGET = "ping"
"""Name of the bench's service."""


class NotConforming(AssertionError):
    """A case ended otherwise than it must; the text says in what."""


def counted(plan: Plan) -> Counter[str]:
    """What the process's metrics say of the rpc by now."""
    path = plan.rpc.method.path
    client, server = METRICS.client(TARGET, path), METRICS.server(path)
    return Counter(
        {
            "attempts started": client.started,
            "retries": client.retries,
            "hedges": client.hedges,
            "retries refused": client.refusals,
            "calls begun by the server": server.begun,
            **_by_code("attempts", client.attempts),
            **_by_code("calls", client.calls),
            **_by_code("served", server.calls),
            **{f"cache {result}": number for result, number in client.cache.items()},
        }
    )


def _by_code(what: str, durations: Durations) -> dict[str, int]:
    return {f"{what} {code}": sum(histogram.read()[0]) for code, histogram in durations.items()}


def to_be_counted(plan: Plan, expected: Expected) -> Counter[str]:
    """What they must say more than before. A link that is not there counts nothing."""
    found: Counter[str] = Counter({"retries": expected.retries, "hedges": expected.hedges})
    if "attempts" in plan.client:
        found["attempts started"] = sum(expected.attempts.values())
        found.update(_labelled("attempts", expected.attempts))
    if "telemetry" in plan.client:
        found.update(_labelled("calls", expected.calls))
    if "telemetry" in plan.server:
        found["calls begun by the server"] = sum(expected.served.values())
        found.update(_labelled("served", expected.served))
    if plan.caches:
        found.update(_labelled("cache", expected.cached or {"miss": sum(expected.calls.values())}))
    return found


def _labelled(what: str, numbers: Mapping[str, int]) -> dict[str, int]:
    return {f"{what} {label}": number for label, number in numbers.items()}


def compare(stage: Stage, expected: Expected, more: Counter[str]) -> Iterator[str]:
    """What differs, once everything has ended.

    Args:
        stage: where it was played.
        expected: what is right.
        more: what metrics count more than before.
    """
    if stage.seen is not None:
        yield from _caller(stage.seen, expected)
    yield from _differs("calls that reached the handler", stage.script.handled, expected.handled)
    yield from _differs("handlers that were cancelled", stage.script.cancelled, expected.stopped)
    yield from _sent(stage)
    right = to_be_counted(stage.plan, expected)
    for name in sorted({*more, *right}):
        yield from _differs(f"metrics: {name}", more[name], right[name])
    yield from _kept(stage, expected)


def _differs(what: str, is_: object, right: object) -> Iterator[str]:
    if is_ != right:
        yield f"{what}: {is_}, not {right}"


def _caller(seen: Seen, expected: Expected) -> Iterator[str]:
    raised = "ServiceError" if expected.reason else "CancelledError" if expected.code is CANCELLED else ""
    yield from _differs("raised to the caller", seen.raised or "nothing", raised or "nothing")
    if raised == seen.raised == "ServiceError":
        yield from _differs("code of the error", seen.code, expected.code)
        yield from _differs("reason of the error", seen.reason, expected.reason)
    yield from _differs("messages received", seen.messages, expected.messages)
    yield from _differs("code() of the call", seen.told, expected.code)
    yield from _differs("done() of the call", seen.done, True)
    yield from _differs("cancelled() of the call", seen.cancelled, raised == "CancelledError")


def _sent(stage: Stage) -> Iterator[str]:
    """What the attempts carried."""
    plan, came = stage.plan, stage.script.metadata
    if plan.secured and any(headers.AUTHORIZATION not in one for one in came):
        yield "an attempt came without a token"
    if plan.rpc.method.mutates and len({one.get(headers.IDEMPOTENCY_KEY) for one in came}) > 1:
        yield "attempts came with different idempotency keys"
    for number, one in enumerate(came):
        right = str(number) if number and "retry" in plan.client else None
        yield from _differs(
            f"{headers.PREVIOUS_ATTEMPTS} of attempt {number + 1}", one.get(headers.PREVIOUS_ATTEMPTS), right
        )


def _kept(stage: Stage, expected: Expected) -> Iterator[str]:
    """What the client still holds."""
    yield from _differs("streams of requests that were let go", stage.closed, stage.opened)
    yield from _differs("calls under way in the cache", len(stage.peer.answers.flights), 0)
    guard, now = stage.peer.breakers.get(stage.plan.rpc.method.path), stage.clock.monotonic()
    if guard is None:
        return
    found = guard.snapshot(now)
    yield from _differs("state of the breaker", found.state, expected.breaker)
    yield from _differs("probes that were not given back", found.probes_out, 0)
    if not stage.plan.half_open:
        faults = sum(number for code, number in expected.attempts.items() if code in SERVER_FAULTS)
        yield from _differs("failures told to the breaker", found.failures, faults)


def breaker_stuck(stage: Stage) -> Iterator[str]:
    """Whether the breaker lets nothing pass any more. Changes it: to be asked last."""
    guard = stage.peer.breakers.get(stage.plan.rpc.method.path)
    if guard is not None and guard.admit(stage.clock.monotonic() + LONG_AGO_S) is None:
        yield "the breaker lets nothing pass any more"


def next_answered(stage: Stage, before: int, effects: int) -> Iterator[str]:
    """What is wrong with the call after, which goes well.

    Args:
        stage: where it was made.
        before: calls that had reached the handler before.
        effects: changes that had been made before.
    """
    replays = "idempotency" in stage.plan.server and stage.plan.rpc.method.mutates
    right = Expected(code=OK, messages=stage.plan.rpc.answers)
    assert stage.seen is not None
    yield from (f"the next call: {one}" for one in _caller(stage.seen, right))
    reaches = 0 if replays and effects else 1
    yield from _differs("the next call: reaches the handler", stage.script.handled - before, reaches)
    if replays:
        yield from _differs("effects of one key", stage.script.effects, 1)
