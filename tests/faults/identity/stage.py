"""A real server behind its full chain, a system whose tokens it knows, and strangers who send what they like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError, from_call
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import Bench, bench

from tests.trunkline.auth.identity_system import System
from tests.trunkline.interceptors.servicers import Effects, Talker
from tests.trunkline.interceptors.shapes import stranger

REFUSED = grpc.StatusCode.UNAUTHENTICATED


@dataclass
class Stage:
    """A server, and the system whose tokens it knows."""

    on: Bench
    system: System
    effects: Effects
    talker: Talker
    effect: Any
    """Stub of EffectService, on a channel without our chain."""
    ping: Any
    """Stub of PingService, whose streams never end, on the same channel."""
    channel: Any
    """That channel."""


@asynccontextmanager
async def stage(system: System | None = None, *also: object, **changes: Any) -> AsyncIterator[Stage]:
    """Serves EffectService, PingService and others; the clock of both sides stands still unless another is given."""
    system = system or System(FakeClock())
    effects, talker = Effects(), Talker()
    options: dict[str, Any] = {"clock": system.clock, "service": {"verifier": system.verifier}} | changes
    async with bench(ping=talker, servicers=[effects, *also], **options) as on, stranger(on) as channel:
        effect, ping = pb_grpc.EffectServiceStub(channel), pb_grpc.PingServiceStub(channel)
        try:
            yield Stage(on, system, effects, talker, effect, ping, channel)
        finally:
            await system.keys.close()


def bearer(token: str, caller: str = "") -> tuple[tuple[str, str], ...]:
    """Headers of a call that is sent with a token, for somebody else where one is given."""
    found = ((headers.AUTHORIZATION, f"Bearer {token}"),)
    return (*found, (headers.CALLER, caller)) if caller else found


async def outcome(call: Any) -> ServiceError | None:
    """The failure a call of a stranger ends with; None where it succeeds."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        trailers: Any = error.trailing_metadata()
        return from_call(error.code(), error.details(), list(trailers))
    return None
