"""Calls from outside: somebody's channels to the services, and calls that are repeated until they are answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from trunkline import headers
from trunkline.auth.credential import Credential, ExchangedCredential, FileCredential
from trunkline.client import PeerChannel, connect, exchange
from trunkline.errors import ServiceError
from trunkline.launcher.system import LaunchError
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

REPEATED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)
"""Failures after which nobody knows, or nobody was there: with the same key the call may be repeated."""
BOUND_S = 90.0
"""Seconds a call is repeated: longer than it takes to restart a service, and than a breaker stays open."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
A = TypeVar("A")


class Caller:
    """Somebody with a credential, and channels to the services of a running system; opened when first used."""

    def __init__(self, system: RunningSystem, settings: PlatformSettings, credential: Credential) -> None:
        self.system = system
        self.settings = settings
        self._credential = credential
        self._channels: dict[str, PeerChannel] = {}

    @classmethod
    def from_file(cls, system: RunningSystem, settings: PlatformSettings, path: Path) -> Caller:
        """Who the credential in a file stands for."""
        return cls(system, settings, FileCredential(path, partial(exchange, settings=settings)))

    @classmethod
    def of(cls, system: RunningSystem, settings: PlatformSettings, credential: str) -> Caller:
        """Who a credential stands for."""
        return cls(system, settings, ExchangedCredential(lambda: credential, partial(exchange, settings=settings)))

    def channel(self, name: str) -> PeerChannel:
        """The channel to a service."""
        if name not in self._channels:
            target = f"dns:///{self.system.services[name]}"
            self._channels[name] = connect(name, credential=self._credential, target=target, settings=self.settings)
        return self._channels[name]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()


async def surely(method: Callable[..., Awaitable[A]], request: Any, *, key: str = "", bound_s: float = BOUND_S) -> A:
    """Calls until there is an answer, whatever is restarted meanwhile.

    Every repeat has the same idempotency key, so that the call has one effect. Refusals are raised at once.

    Raises:
        ServiceError: the call is refused.
        LaunchError: nobody has answered within the bound.
    """
    metadata = ((headers.IDEMPOTENCY_KEY, key),) if key else None
    end, pause_s = time.monotonic() + bound_s, _FIRST_PAUSE_S
    while True:
        try:
            return await method(request, metadata=metadata)
        except ServiceError as error:
            if error.code not in REPEATED:
                raise
            if time.monotonic() > end:
                name = type(request).__name__.removesuffix("Request")
                raise LaunchError(f"{name} has failed for {bound_s:.0f} s: {error}") from error
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)


async def together(*work: Awaitable[A]) -> list[A]:
    """Does everything at once; the first failure cancels the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(one)) for one in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _awaited(work: Awaitable[A]) -> A:
    return await work
