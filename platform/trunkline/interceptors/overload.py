"""Links of the server chain that refuse calls a server, or a tenant, has too many of: see docs/overload.md."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import grpc
import structlog

from trunkline.errors import Trailers, platform_error, trailers_of
from trunkline.interceptors.arrivals import CONCURRENCY_LIMIT, SHED_RETRY_S, too_many
from trunkline.interceptors.chain import Gate
from trunkline.interceptors.host import Host, ServerGate
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.policies import rate
from trunkline.telemetry.metrics import METRICS

SOONEST_S = 0.01
"""Seconds that nobody is told to come back before: less would be rounded to at once."""
TOLD_EVERY_S = 10.0
"""Seconds between two log lines that tell of shed calls: a line for each would be work that a full server has not."""
RATE_LIMIT = "RATE_LIMIT"
"""Reason of the refusal of a call beyond a rate."""
ALWAYS_ANSWERED = EXEMPT_SERVICES | {"trunk.policy.v1.CallStateService"}
"""gRPC services that a full server answers too: whoever asks how it is."""
_VARIANTS = 64
_log = structlog.get_logger("trunkline.server")


def limited(method: Method) -> bool:
    """Whether the adaptive limit is about it, and learns from it: a stream lasts as long as its caller likes."""
    return not (method.client_streaming or method.server_streaming or method.service in ALWAYS_ANSWERED)


def _shed_trailers() -> tuple[Trailers, ...]:
    """What a shed call is told, with waits spread evenly. Made once: a refusal costs next to nothing of ours."""
    low, high = SHED_RETRY_S
    waits = [low + (high - low) * number / (_VARIANTS - 1) for number in range(_VARIANTS)]
    return tuple(trailers_of(too_many(wait)) for wait in waits)


_REFUSAL = too_many()
_SHED = _shed_trailers()


def concurrency(method: Method, host: Host) -> ServerGate | None:
    """Sheds calls beyond what a server may run at once: before anything is spent on them, and so not logged singly."""
    if method.service in ALWAYS_ANSWERED:
        return None
    told, limit, unary, streams = METRICS.server(method.path), host.limit, host.arrivals, host.stream_arrivals

    # Calls whose request is not there yet take nobody's place: they are looked at again when it is (validation).
    def check(call: ServerCall) -> Awaitable[None] | None:
        if limit.running - len(unary) >= limit.limit:
            return shed(call)
        return None

    def check_stream(call: ServerCall) -> Awaitable[None] | None:
        return shed(call) if host.running - limit.running - len(streams) >= host.max_concurrent_calls else None

    async def shed(call: ServerCall) -> None:
        told.started()
        told.ended("RESOURCE_EXHAUSTED", 0.0)
        told.refused(CONCURRENCY_LIMIT)
        _tell_of_shedding(host)
        await call.context.abort(_REFUSAL.code, _REFUSAL.message, random.choice(_SHED))

    return Gate(check if limited(method) else check_stream)


def _tell_of_shedding(host: Host) -> None:
    host.shed += 1
    now = host.clock.monotonic()
    if now >= host.tells_at:
        host.tells_at = now + TOLD_EVERY_S
        _log.warning("calls are shed", service=host.name, limit=host.limit.limit, running=host.running, shed=host.shed)


def overfull(method: Method, host: Host) -> Callable[[], bool] | None:
    """Tells of a call that was let in before its request was there whether it is now one too many; None: it never is.

    The call counts itself.
    """
    if not limited(method):
        return None
    told, limit, arrivals = METRICS.server(method.path), host.limit, host.arrivals

    def check() -> bool:
        if limit.running - len(arrivals) <= limit.limit:
            return False
        told.refused(CONCURRENCY_LIMIT)
        _tell_of_shedding(host)
        return True

    return check


def intake(method: Method, host: Host) -> ServerGate | None:
    """Lets calls in that wait in gRPC, before it begins another."""
    if not limited(method):
        return None
    turn = host.intake.turn
    return Gate(lambda _: turn())


def rate_limit(method: Method, host: Host) -> ServerGate | None:
    """Holds each caller to its rate: each tenant of the server, and each caller of a method that has its own."""
    if method.service in ALWAYS_ANSWERED or not (host.rate_per_tenant or method.rate_per_s):
        return None
    told, rates, cost = METRICS.server(method.path), host.rates, method.cost
    of_server = _limit(host.rate_per_tenant)
    of_method = _limit(method.rate_per_s)
    if of_method is not None:
        host.method_rates[method.path.lstrip("/")] = of_method.per_s

    def check(call: ServerCall) -> Awaitable[None] | None:
        who, known = _who(call)
        asks = []
        if of_server is not None and known:
            asks.append(rate.Ask(f"{host.name}:{who}", of_server, cost))
        if of_method is not None:
            asks.append(rate.Ask(f"{host.name}:{method.path}:{who}", of_method, cost))
        wait_s = rates.ask(asks) if asks else 0.0
        if isinstance(wait_s, float):
            decide(wait_s)
            return None
        return later(wait_s)

    def decide(wait_s: float) -> None:
        if wait_s:
            told.refused(RATE_LIMIT)
            raise platform_error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                RATE_LIMIT,
                "the caller calls too often",
                # Later by up to a half: who was refused together must not come back together.
                retry_after_s=max(SOONEST_S, wait_s) * random.uniform(1.0, 1.5),
            )

    async def later(wait_s: Awaitable[float]) -> None:
        decide(await wait_s)

    return Gate(check)


def _limit(per_s: float) -> rate.RateLimit | None:
    return rate.RateLimit(per_s, max(1, int(per_s))) if per_s else None


def _who(call: ServerCall) -> tuple[str, bool]:
    """Whose calls are counted together, and whether a token says who it is: nothing that a caller may choose counts."""
    inbound = call.inbound
    if inbound.tenant_id:
        return f"tenant:{inbound.tenant_id}", True
    principal = inbound.principal
    if principal is not None:
        return f"{principal.kind}:{principal.subject}", True
    return f"peer:{call.context.peer().rpartition(':')[0]}", False
