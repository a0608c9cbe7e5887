"""An attempt of a unary call where grpcio looks other than expected."""

from __future__ import annotations

from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import transport
from trunkline.interceptors.wire import UnarySender, unary_sender
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.servicers import without_waiting
from tests.trunkline.interceptors.shapes import failing


def test_what_has_nothing_private_is_used_as_it_is():
    """Without what the quick way needs, grpc's own callable makes the attempts, which are under way until they end."""
    made: list[Any] = []

    class Call:
        def add_done_callback(self, callback: Any) -> None:
            self.end = callback

    def public(request: Any, **options: Any) -> Call:
        call = Call()
        made.append((request, options, call))
        return call

    running: set[Any] = set()
    call = unary_sender(public, running)("request", timeout=1.0)
    assert (made, running) == ([("request", {"timeout": 1.0}, call)], {call})
    call.end(call)
    assert not running


@pytest.mark.parametrize("quick", [True, False])
async def test_both_ways_make_the_same_calls(monkeypatch, quick):
    """A call that fails once and is answered then goes the same way by grpc's own callable."""
    if not quick:
        monkeypatch.setattr(transport, "unary_sender", lambda callable_, _: callable_)
    async with bench() as on:
        without_waiting(on)
        sender: Any = on.channel.unary_unary("/trunk.testing.v1.PingService/Ping")._send
        sends = isinstance(sender._send, UnarySender)
        assert sends is quick
        request = pb.PingRequest(value="v", behaviour=failing(14))
        answer = await on.ping.Ping(request, metadata=(("x-own", "1"),))
        assert (answer.value, answer.attempt, on.reached.attempts["k"]) == ("v", 2, 2)
