"""Whether calls are served just now."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunk.event.v1 import (
    consumer_service_pb2,
    consumer_service_pb2_grpc,
    event_log_service_pb2,
    event_log_service_pb2_grpc,
)
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.foreground import FOREGROUND, RECENT_S, Foreground
from trunkline.interceptors.identity import authentication, authorization
from trunkline.server import SERVER_ORDER
from trunkline.testing.ping import bench


def test_a_call_counts_for_a_while():
    """Nothing is going on before the first call, and some time after the last one began."""
    now = 0.0
    foreground = Foreground(lambda: now)
    assert not foreground.is_active()
    foreground.note()
    assert foreground.is_active()
    now = RECENT_S
    assert not foreground.is_active()


class Log(event_log_service_pb2_grpc.EventLogServiceServicer):
    """A log that says nothing."""

    async def GetEventLogState(self, request: Any, context: Any) -> Any:
        """Nothing."""
        return event_log_service_pb2.GetEventLogStateResponse()


class Group(consumer_service_pb2_grpc.ConsumerServiceServicer):
    """A consumer that says nothing."""

    async def GetConsumerState(self, request: Any, context: Any) -> Any:
        """Nothing."""
        return consumer_service_pb2.GetConsumerStateResponse()


async def test_calls_are_noted_and_what_only_watches_is_not(monkeypatch):
    """Somebody waits for the answer of a call; health and how events fare are asked for all the time."""
    monkeypatch.setattr(FOREGROUND, "began", float("-inf"))
    silent: Any = (Log, Group)  # of all that they have to serve, one method each is called
    order = tuple(link for link in SERVER_ORDER if link not in (authentication, authorization))
    async with bench(servicers=[one() for one in silent], server_order=order) as running:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.server.port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            await health.Check(health_pb2.HealthCheckRequest())
            log: Any = event_log_service_pb2_grpc.EventLogServiceStub(channel)
            await log.GetEventLogState(event_log_service_pb2.GetEventLogStateRequest())
            group: Any = consumer_service_pb2_grpc.ConsumerServiceStub(channel)
            await group.GetConsumerState(consumer_service_pb2.GetConsumerStateRequest())
        assert FOREGROUND.began == float("-inf")
        await running.ping.Ping(pb.PingRequest())
        assert FOREGROUND.began > 0
