"""Serves what a process knows of its calls (trunk.policy.v1.CallStateService), for `trunkline explain --live`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import duration_pb2
from trunk.policy.v1 import call_state_service_pb2 as pb
from trunk.policy.v1 import call_state_service_pb2_grpc as pb_grpc

from trunkline.interceptors.arrivals import CONCURRENCY_LIMIT
from trunkline.interceptors.host import Host
from trunkline.interceptors.overload import RATE_LIMIT
from trunkline.interceptors.peer import Peer, living_peers
from trunkline.policies.breaker import Breaker, BreakerState
from trunkline.policies.hedging import HEDGED_QUANTILE
from trunkline.telemetry.metrics import METRICS

STATES = {
    BreakerState.CLOSED: pb.PeerMethodState.BREAKER_CLOSED,
    BreakerState.OPEN: pb.PeerMethodState.BREAKER_OPEN,
    BreakerState.HALF_OPEN: pb.PeerMethodState.BREAKER_HALF_OPEN,
}
"""A breaker's state on the wire."""

STORES = {"local": pb.ServerState.RATE_STORE_LOCAL, "redis": pb.ServerState.RATE_STORE_REDIS}
"""Where rate limits are decided, on the wire."""


class CallStateServicer(pb_grpc.CallStateServiceServicer):
    """Answers from what the chains of this process keep."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self._hosts = hosts

    async def GetCallState(self, request: pb.GetCallStateRequest, context: Any) -> pb.GetCallStateResponse:  # noqa: N802
        """The state as of now."""
        peers = [_peer(peer, request.method) for peer in living_peers() if request.target in ("", peer.name)]
        return pb.GetCallStateResponse(peers=peers, servers=self._servers(request.method))

    def _servers(self, method: str) -> Iterator[pb.ServerState]:
        told: dict[int, pb.ServerState] = {}
        for name, host in self._hosts.items():
            state = told.setdefault(
                id(host),
                pb.ServerState(
                    name=host.name,
                    running=host.running,
                    max_running=host.max_concurrent_calls,
                    rate_per_tenant=host.rate_per_tenant,
                    limit=host.limit.limit,
                    min_running=host.limit.floor,
                    limited_running=host.limit.running,
                    rate_store=STORES[host.rates.decided_by],
                ),
            )
            for one in METRICS.servers():
                if one.method.partition("/")[0] == name and method in ("", one.method):
                    state.methods.add(
                        method=one.method,
                        calls=one.begun,
                        running=one.running,
                        rate=host.method_rates.get(one.method, 0.0),
                        concurrency_refusals=one.refusals.get(CONCURRENCY_LIMIT, 0),
                        rate_refusals=one.refusals.get(RATE_LIMIT, 0),
                    )
        yield from told.values()


def _peer(peer: Peer, method: str) -> pb.PeerState:
    now = peer.clock.monotonic()
    breakers = {path.lstrip("/"): breaker for path, breaker in sorted(peer.breakers.items())}
    return pb.PeerState(
        name=peer.name,
        target=peer.target,
        connectivity=peer.connectivity(),
        recent_calls=peer.budget.calls(now),
        recent_retries=peer.budget.retries(now),
        available_retries=peer.budget.available(now),
        kept_answers=len(peer.answers),
        methods=[_method(peer, name, breaker, now) for name, breaker in breakers.items() if method in ("", name)],
    )


def _method(peer: Peer, name: str, breaker: Breaker, now: float) -> pb.PeerMethodState:
    snapshot, told = breaker.snapshot(now), peer.told(f"/{name}")
    latency = peer.latencies.get(f"/{name}")
    return pb.PeerMethodState(
        method=name,
        breaker=STATES[snapshot.state],
        consecutive_failures=snapshot.consecutive_failures,
        window_calls=snapshot.calls,
        window_failures=snapshot.failures,
        probe_after=_duration(snapshot.probe_in_s if snapshot.state is BreakerState.OPEN else None),
        hedge_after=_duration(latency.quantile(HEDGED_QUANTILE) if latency is not None else None),
        attempts=told.started,
        retries=told.retries,
        hedges=told.hedges,
        refused_retries=told.refusals,
    )


def _duration(seconds: float | None) -> duration_pb2.Duration | None:
    if seconds is None:
        return None
    found = duration_pb2.Duration()
    found.FromNanoseconds(int(seconds * 1e9))
    return found
