"""Health: the standard service. Only the service's own database decides; what it needs of others is told beside.

Three questions have three answers: whether to send calls here (the empty name, and each gRPC service), whether to
restart the process (`liveness`), and what is amiss (`dep.<name>`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from trunkline.errors import unavailable

Check = Callable[[], Awaitable[None]]
"""Raises when what it looks at does not answer."""
CHECK_INTERVAL_S = 1.0
"""Seconds between two looks."""
CHECK_TIMEOUT_S = 2.0
"""A check that takes longer has failed, in seconds."""
LIVENESS = "liveness"
"""Name under which a process is SERVING as long as its event loop answers at all, without a database and in a drain."""
TELL_S = 1.0
"""A watcher that does not read holds nobody up for longer, in seconds."""
_log = structlog.get_logger("trunkline.health")
_Status = health_pb2.HealthCheckResponse


def all_of(checks: Sequence[Check]) -> Check:
    """Looks at one after the other; the first that does not answer is told."""

    async def check() -> None:
        for one in checks:
            await one()

    return check


class Health:
    """What a process says of itself: the empty name and each gRPC service, `dep.<name>`, and `liveness`."""

    service_names = (health.SERVICE_NAME,)
    """Full names of the gRPC services that this serves."""

    def __init__(self, names: Sequence[str], gates: Sequence[Check], dependencies: Mapping[str, Check]) -> None:
        self._servicer = _Servicer()
        self._names = ("", *names)
        self._gates = gates
        self._dependencies = dependencies
        self._draining = False
        self._telling = asyncio.Lock()
        self._last: dict[str, bool] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called when it begins or ceases to serve."""

    @property
    def serving(self) -> bool:
        """Whether calls may be sent here now."""
        return self._last.get("", False) and not self._draining

    def register(self, server: Any) -> None:
        """Adds the health service to a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks once a second until stop is set."""
        while not stop.is_set():
            await self.check()
            try:
                await asyncio.wait_for(stop.wait(), CHECK_INTERVAL_S)
            except TimeoutError:
                continue

    async def check(self) -> None:
        """Looks once at everything, all at the same time."""
        checks = [*self._gates, *self._dependencies.values()]
        answers = await asyncio.gather(*(_answers(check) for check in checks))
        serving = all(answers[: len(self._gates)])
        told = dict(zip(self._dependencies, answers[len(self._gates) :], strict=True))
        await self._tell({**dict.fromkeys(self._names, serving), **told, LIVENESS: True})

    async def drain(self) -> None:
        """Ready for no more calls, for good; alive all the same."""
        self._draining = True
        await self._tell(dict.fromkeys(self._names, False))

    def end_watches(self) -> None:
        """Ends the streams of who watches: they would never end, and hold a drain up to its last second."""
        self._servicer.ending.set()

    async def _tell(self, told: Mapping[str, bool]) -> None:
        async with self._telling:  # a look that began before the drain must not have the last word
            for name, alive in told.items():
                known = self._last.get(name)
                if known == alive or (self._draining and name in self._names and alive):
                    continue
                if not self._draining and (known is not None or not alive):
                    _log.info("health changed", name=name or "(all)", serving=alive)
                self._last[name] = alive
                await self._set(name, _Status.SERVING if alive else _Status.NOT_SERVING)
                self.changed()

    async def _set(self, name: str, status: Any) -> None:
        try:
            async with asyncio.timeout(TELL_S):
                await self._servicer.set(name, status)
        except TimeoutError:
            self._last.pop(name, None)
            _log.warning("somebody watches health and does not read", name=name or "(all)")


class _Servicer(health.aio.HealthServicer):
    """The stock servicer, but its watches can be ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ending = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802 - the rpc's name
        watch = asyncio.create_task(super().Watch(request, context))
        ending = asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait((watch, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            ending.cancel()
            await asyncio.gather(watch, ending, return_exceptions=True)
        raise unavailable("", "the server is ending")


async def _answers(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it does not answer
        _log.debug("check failed", error=type(error).__name__)
        return False
    return True
