"""Services in the process of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.auth.tokens import Claims
from trunkline.call import InboundCall, current_call
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalSystem

ADD = pb.AddRequest(amount=2)
TERMINAL = Claims(kind="terminal", subject="t1", credential_id="c1", tenant_id="acme", store_code="1", terminal_no=1)
SERVICE = Claims(kind="service", subject="cart", credential_id="cart")


class Listener(pb_grpc.EffectServiceServicer):
    """Remembers for whom it was called."""

    def __init__(self) -> None:
        self.calls: list[InboundCall] = []

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Answers."""
        call = current_call()
        assert call is not None
        self.calls.append(call)
        return pb.AddResponse(value=request.amount)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
async def system(tmp_path: Path, clock: FakeClock) -> AsyncIterator[LocalSystem]:
    """A system without services."""
    async with LocalSystem(tmp_path, clock) as system:
        yield system


@pytest.fixture
async def listener(system: LocalSystem) -> Listener:
    """A service that remembers for whom it was called."""
    listener = Listener()  # type: ignore[abstract]
    await system.stand_in("effect", listener)
    return listener


def stub(system: LocalSystem, claims: Claims) -> pb_grpc.EffectServiceAsyncStub:
    """The service for somebody with these claims."""
    return pb_grpc.EffectServiceStub(system.caller(claims).channel("effect"))


async def test_knows_its_callers(system, listener):
    """A caller's claims reach the handler."""
    await stub(system, TERMINAL).Add(ADD)
    (call,) = listener.calls
    assert (call.caller.kind, call.caller.store_code, call.tenant_id) == ("terminal", "1", "acme")


async def test_services_call_for_others(system, listener):
    """Inside forwarded() a service sends its own token and the caller's."""
    with system.caller(TERMINAL).forwarded():
        await stub(system, SERVICE).Add(ADD)
    (call,) = listener.calls
    assert (call.sender.subject, call.caller.subject, call.tenant_id) == ("cart", "t1", "acme")


async def test_tokens_stay_fresh(system, listener, clock):
    """However far the clock is moved, a caller's token is valid."""
    effect = stub(system, TERMINAL)
    await effect.Add(ADD)
    clock.advance(100_000)
    await effect.Add(ADD)
    assert len({call.caller.token for call in listener.calls}) == 2


async def test_peers_may_start_later(system):
    """A channel to a service that does not run yet leads to it once it does."""
    effect = stub(system, TERMINAL)
    listener = Listener()  # type: ignore[abstract]
    await system.stand_in("effect", listener)
    assert (await effect.Add(ADD)).value == 2
