"""Services that receive transactions by event, asked what became of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunkline.errors import ServiceError
from trunkline.events import topic_of
from trunkline.registry.targets import UnknownTarget

from services.cart.domain.delivery import DeliveryState
from services.cart.domain.transaction import TransactionId
from services.wire.kinds import from_enum

ANSWER_S = 1.0
"""Seconds each of them has; they are asked at the same time."""


class ReceiverPeer:
    """Implements `Receivers`: the declared groups of transactions."""

    def __init__(self, connect: Callable[[str], grpc.aio.Channel]) -> None:
        topic = topic_of(TransactionLog)
        self._topic = topic.name
        self._stubs = {group: _stub(group, connect) for group in sorted(topic.groups)}

    async def states(self, transaction_id: TransactionId) -> dict[str, DeliveryState | None]:
        """What each says of a transaction's event; None where it could not be asked."""
        # Each transaction is one event, and both are counted from 1 in one commit.
        request = pb.GetDeliveryStateRequest(
            topic=self._topic, key=transaction_id.terminal_id.key, number=transaction_id.transaction_no
        )
        states = await asyncio.gather(*(_state(stub, request) for stub in self._stubs.values()))
        return dict(zip(self._stubs, states, strict=True))


def _stub(group: str, connect: Callable[[str], grpc.aio.Channel]) -> pb_grpc.ConsumerServiceAsyncStub | None:
    try:
        return pb_grpc.ConsumerServiceStub(connect(group))
    except UnknownTarget:
        return None  # a group is declared before it runs anywhere


async def _state(
    stub: pb_grpc.ConsumerServiceAsyncStub | None,
    request: pb.GetDeliveryStateRequest,
) -> DeliveryState | None:
    if stub is None:
        return None
    try:
        answer = await stub.GetDeliveryState(request, timeout=ANSWER_S)
    except ServiceError:
        return None
    return from_enum(pb.DeliveryState, DeliveryState, answer.state)
