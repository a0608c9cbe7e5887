"""Servicers for what the bench's own cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from trunkline.call import InboundCall, current_call

Answer = Callable[[Any], Awaitable[None]]
"""What happens inside a handler; takes its context."""


class Effects(pb_grpc.EffectServiceServicer):
    """Counts what reaches it, and does inside what a test asks for."""

    def __init__(self, inside: Answer | None = None) -> None:
        self.inside = inside
        self.calls: list[InboundCall] = []
        self.metadata: list[dict[str, Any]] = []
        self.value = 0

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds."""
        await self._note(context)
        self.value += request.amount
        return pb.AddResponse(value=self.value)

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """Reads."""
        await self._note(context)
        return pb.ReadResponse(value=self.value)

    async def Reset(self, request: pb.ResetRequest, context: Any) -> pb.ResetResponse:
        """Begins anew."""
        await self._note(context)
        self.value = 0
        return pb.ResetResponse()

    async def MakeSecret(self, request: pb.MakeSecretRequest, context: Any) -> pb.MakeSecretResponse:
        """Makes a secret."""
        await self._note(context)
        return pb.MakeSecretResponse(secret=f"secret-{len(self.calls)}")

    async def _note(self, context: Any) -> None:
        call = current_call()
        assert call is not None
        self.calls.append(call)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.inside is not None:
            await self.inside(context)


class Sleeps:
    """Waits that take no time, and how long each would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Notes the wait."""
        self.waited.append(seconds)
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], within_s: float = 3.0) -> None:
    """Returns when condition holds; fails if that takes too long."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)
