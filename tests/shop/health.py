"""Whether everything in a shop is well: asked of the health service of each, as an operator would."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunkline.registry.system import RunningSystem

from deploy.local.system import SERVICES
from tests.shop.running import RunningShop
from tests.shop.waiting import HEAL_S, until, until_none

Statuses = dict[str, bool]
"""Name and whether it is SERVING."""
NAMES = ("", "dep.db", "dep.redis", *(f"dep.{name}" for name in SERVICES))
"""What a service may tell of; the empty name is all of it."""
_ASK_S = 1.0
_known: dict[str, list[str]] = {}


async def statuses(address: str) -> Statuses:
    """What a service says of itself and of those it depends on; empty if it does not answer."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs know no methods
        names = _known.get(address, NAMES)
        told = await asyncio.gather(*(_status(stub, name) for name in names))
    found = {name: serving for name, serving in zip(names, told, strict=True) if serving is not None}
    if "" in found:
        # Its dependencies do not change: those it does not have are asked for once.
        _known.setdefault(address, list(found))
    return found


async def _status(stub: Any, name: str) -> bool | None:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=_ASK_S)
    except grpc.aio.AioRpcError as error:
        # A dependency that it has and does not tell of is not well.
        return None if not name or error.code() is grpc.StatusCode.NOT_FOUND else False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def unwell(system: RunningSystem) -> list[str]:
    """What is not SERVING, dependencies included."""
    names = list(system.services)
    found = await asyncio.gather(*(statuses(system.services[name]) for name in names))
    silent = [f"{name} does not answer" for name, told in zip(names, found, strict=True) if "" not in told]
    return silent + [
        f"{name} {part or '(all)'} is NOT_SERVING"
        for name, told in zip(names, found, strict=True)
        for part, serving in told.items()
        if not serving
    ]


async def until_well(shop: RunningShop, bound_s: float = HEAL_S) -> None:
    """Waits until all services and all that they need are SERVING."""
    await until_none(lambda: unwell(shop.system), bound_s)


async def until_serving(shop: RunningShop, name: str, *, other_than: int) -> None:
    """Waits until a service whose process has died is SERVING in another one."""

    async def back() -> bool:
        pid = await asyncio.to_thread(shop.pid, name)
        return pid not in {0, other_than} and (await statuses(shop.system.services[name])).get("", False)

    await until(back, f"{name} is back")
