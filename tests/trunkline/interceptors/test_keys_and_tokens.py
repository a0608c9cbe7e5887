"""What a call is given before it is sent: a key that follows from its handler's, and a token, in time."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.interceptors.client_policies import derive_key
from trunkline.method import method_of
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.interceptors.people import Verifier
from tests.trunkline.interceptors.servicers import Effects

ADD = method_of("/trunk.testing.v1.EffectService/Add")


def test_a_key_follows_from_one_under_which_nothing_is_stored():
    """A handler that is repeated repeats its peers' calls, also where its own service stores no answers."""
    request = pb.AddRequest(amount=1)
    keys = {derive_key(InboundCall("/a", idempotency_key="k"), ADD, request) for _ in range(2)}
    assert len(keys) == 1
    assert len({derive_key(InboundCall("/a"), ADD, request) for _ in range(2)}) == 2


class Never:
    """A credential whose token does not come."""

    async def token(self) -> str:
        """Waits for ever."""
        await asyncio.Event().wait()
        return ""


async def test_a_call_does_not_outlive_its_deadline_while_it_waits_for_a_token():
    """Who makes tokens may be frozen: the call ends at its deadline, and nothing was sent."""
    effects = Effects()
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=Never()) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        async with asyncio.timeout(3):
            with pytest.raises(ServiceError) as caught:
                await stub.Read(pb.ReadRequest(), timeout=0.1)
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
        assert effects.calls == []


async def test_two_names_of_one_address_are_two_peers():
    """Each has its own breakers, budget and overrides."""
    async with bench() as on:
        target = f"dns:///127.0.0.1:{on.server.port}"
        one, two = (connect(name, target=target, settings=BENCH_SETTINGS) for name in ("one", "two"))
        async with one, two:
            assert (one.peer.name, two.peer.name) == ("one", "two")
