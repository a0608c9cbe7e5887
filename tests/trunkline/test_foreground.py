"""Whether calls are served just now."""

from __future__ import annotations

from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.foreground import FOREGROUND, RECENT_S, Foreground
from trunkline.testing.ping import PingServicer, Reached, bench


def test_a_call_counts_for_a_while():
    """Nothing is going on before the first call, and some time after the last one began."""
    now = 0.0
    foreground = Foreground(lambda: now)
    assert not foreground.is_active()
    foreground.note()
    assert foreground.is_active()
    now = RECENT_S
    assert not foreground.is_active()


async def test_calls_are_noted_and_health_checks_are_not(monkeypatch):
    """Somebody waits for the answer of a call; everybody is asked for health all the time."""
    monkeypatch.setattr(FOREGROUND, "began", float("-inf"))
    async with bench(servicers=[PingServicer(Reached())]) as running:
        health: Any = health_pb2_grpc.HealthStub(running.channel)
        await health.Check(health_pb2.HealthCheckRequest())
        assert not FOREGROUND.is_active()
        await pb_grpc.PingServiceStub(running.channel).Ping(pb.PingRequest())
        assert FOREGROUND.began > 0
