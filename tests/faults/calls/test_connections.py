"""Connections that cannot be made for a moment, and a server that goes away before it has looked at a call."""

from __future__ import annotations

import asyncio

import pytest
from trunkline import client
from trunkline.testing.fault_modes import Refuse
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy

from tests.faults.calls.calling import awaited, calling, failure
from tests.faults.calls.instance import Instance
from tests.faults.calls.raw_call import GoingAway
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")


async def test_nobody_listens_for_a_moment(server: Instance, key: str):
    """A7: the only server cannot be connected to for a tenth of a second: attempts are made after gRPC has tried again,
    not all before, and the call succeeds.
    """
    async with FaultProxy(LOOPBACK, server.port) as proxy, calling(proxy.target) as caller:
        await caller.ping(f"{key}-before")
        caller.channel.peer.uniform = lambda low, _: low
        await proxy.set(Refuse())
        await proxy.reset_connections()
        await until(lambda: caller.channel.get_state().name != "READY", "the connection is gone")
        call = asyncio.create_task(awaited(caller.ping(f"{key}-through")))
        await asyncio.sleep(0.1)  # the fault lasts as long
        await proxy.heal()
        await call
        assert next(one.number for one in server.journal.of(f"{key}-through", "arrived")) >= 1


async def test_a_server_goes_away_before_it_looks(monkeypatch: pytest.MonkeyPatch):
    """A7: a call that the server has not looked at (GOAWAY) is repeated by us, and counts; where the contract allows
    one attempt it fails: gRPC's transparent retries are off (ADR 12).
    """
    # This server knows nothing of health: its first call shall be the one that is looked at.
    monkeypatch.setattr(client, "OPTIONS", (*client.OPTIONS, ("grpc.inhibit_health_checking", 1)))
    async with GoingAway(1) as going, calling(going.target) as caller:
        await caller.ping("repeated")
        assert going.seen == 2
    async with GoingAway(1) as going, calling(going.target) as caller:
        assert (await failure(caller.once("once"))).error.reason == "PEER_UNREACHABLE"
        assert going.seen == 1
