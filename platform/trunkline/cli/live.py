"""What running services know of a call: asked of each, over their CallStateService."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.running import CommandError

if TYPE_CHECKING:
    from trunk.policy.v1.call_state_service_pb2 import GetCallStateResponse, PeerMethodState, PeerState, ServerState

    from trunkline.explanation import Explained
    from trunkline.settings import PlatformSettings

ANSWER_S = 2.0
"""Seconds a service has to answer."""


def live(method: str, target: str, credential: Path | None, platform: PlatformSettings) -> list[Explained]:
    """What the services that run here know of calls to a method of a target: those that make them, and it.

    Args:
        method: full name, without a leading slash.
        target: the service that is called.
        credential: file with the credential of a service, to ask with; by default what the running system names.
        platform: settings of this shell.

    Raises:
        CommandError: no system runs here, or there is nothing to ask with.
    """
    from trunkline.cli.running import running_system
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    system = running_system()
    path = credential or platform.credential_file or (Path(system.operator) if system.operator else None)
    if path is None:
        raise CommandError("the system that runs here names no credential to ask services with: give --credential")
    answers = asyncio.run(_ask(system.services, method, target, path, platform))
    return [row for name, answer in answers.items() for row in _rows(name, system.services[name], target, answer)]


async def _ask(
    services: Mapping[str, str], method: str, target: str, path: Path, platform: PlatformSettings
) -> dict[str, GetCallStateResponse | str]:
    from functools import partial

    from trunk.policy.v1 import call_state_service_pb2 as pb
    from trunk.policy.v1 import call_state_service_pb2_grpc as pb_grpc

    from trunkline.auth.credential import FileCredential
    from trunkline.client import connect, exchange
    from trunkline.errors import ServiceError

    credential = FileCredential(path, partial(exchange, settings=platform))

    async def ask(name: str, address: str) -> GetCallStateResponse | str:
        async with connect(name, target=f"dns:///{address}", credential=credential, settings=platform) as channel:
            stub: pb_grpc.CallStateServiceAsyncStub = pb_grpc.CallStateServiceStub(channel)
            try:
                return await stub.GetCallState(pb.GetCallStateRequest(target=target, method=method), timeout=ANSWER_S)
            except ServiceError as error:
                return f"{error.code.name} {error.reason}".strip()

    answers = await asyncio.gather(*(ask(name, address) for name, address in services.items()))
    await credential.close()
    return dict(zip(services, answers, strict=True))


def _rows(name: str, address: str, target: str, answer: GetCallStateResponse | str) -> Iterator[Explained]:
    from trunkline.explanation import Explained

    if isinstance(answer, str):
        yield Explained(f"live {name}", f"does not tell: {answer}", address)
        return
    for peer in answer.peers:
        yield Explained(f"live {name} to {peer.name}", _peer(peer), address)
        for method in peer.methods:
            yield Explained(f"live {name} breaker", _breaker(method), address)
            yield Explained(f"live {name} attempts", _attempts(method), address)
    for server in answer.servers if name == target else ():
        yield Explained(f"live {name} serves", _server(server), address)


def _peer(peer: PeerState) -> str:
    budget = f"{peer.available_retries:.3g} retries left after {peer.recent_retries} for {peer.recent_calls} calls"
    return f"{peer.connectivity}, {budget} in 10 s"


def _breaker(method: PeerMethodState) -> str:
    from trunk.policy.v1 import call_state_service_pb2 as pb

    state = pb.PeerMethodState.Breaker.Name(method.breaker).removeprefix("BREAKER_").lower().replace("_", "-")
    text = f"{state}, {method.window_failures} of {method.window_calls} failed, {method.consecutive_failures} in a row"
    if method.HasField("probe_after"):
        text += f", a call may pass in {_seconds(method.probe_after):.1f} s"
    return text


def _attempts(method: PeerMethodState) -> str:
    text = f"{method.attempts} sent, {method.retries} of them retries, {method.hedges} hedges"
    if method.refused_retries:
        text += f"; {method.refused_retries} retries refused by the budget"
    if method.HasField("hedge_after"):
        text += f"; hedged after {_seconds(method.hedge_after) * 1000:.1f} ms"
    return text


def _server(server: ServerState) -> str:
    from trunk.policy.v1 import call_state_service_pb2 as pb

    calls = sum(method.calls for method in server.methods)
    running = sum(method.running for method in server.methods)
    refused = sum(method.concurrency_refusals + method.rate_refusals for method in server.methods)
    limit = f"{server.rate_per_tenant:g} calls/s per tenant" if server.rate_per_tenant else "no rate limit"
    if server.rate_store == pb.ServerState.RATE_STORE_REDIS:
        limit += ", shared"
    bounds = f"{server.min_running} to {server.max_running}"
    room = f"{server.limited_running} of {server.limit} calls of all methods ({bounds})"
    return f"{calls} calls, {running} now, {refused} refused; {room}; {limit}"


def _seconds(duration: object) -> float:
    return float(getattr(duration, "seconds", 0) + getattr(duration, "nanos", 0) / 1e9)
