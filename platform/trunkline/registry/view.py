"""Who serves what, as one process sees it: read every second, and the last that was known while nobody answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from trunkline.registry.instance import is_address, reachable
from trunkline.registry.names import Numbers
from trunkline.registry.registry import Registry, RegistryUnavailable

REFRESH_S = 1.0
"""Seconds between two readings."""
_log = structlog.get_logger("trunkline.registry")

Changed = Callable[["Instances"], None]
"""Told of every change."""


class Instances:
    """The instances of one service that calls may be sent to."""

    def __init__(self, service: str) -> None:
        self.service = service
        """Name of the service."""
        self.addresses: tuple[str, ...] = ()
        """`number:port` of each; empty while none is known."""
        self.watchers: list[Changed] = []
        """Who is told of changes."""


class RegistryView:
    """The registry as one process sees it. Reading it never waits: it is what was seen last."""

    def __init__(self, registry: Registry, directory: Path | None = None) -> None:
        """Reads nothing yet.

        Args:
            registry: where it is read.
            directory: where the last addresses are kept, for a start while the registry is away; None: nowhere.
        """
        self._registry = registry
        self._directory = directory
        self._services: dict[str, Instances] = {}
        self._away = False
        self._wanted = asyncio.Event()
        self._numbers = Numbers()
        self._closed = False

    def watch(self, service: str, changed: Changed) -> Instances:
        """The instances of a service; changed is called with them whenever they are others."""
        found = self._services.get(service)
        if found is None:
            found = self._services[service] = Instances(service)
            self._wanted.set()
        found.watchers.append(changed)
        return found

    def leave(self, service: str, changed: Changed) -> bool:
        """No longer tells of a service; whether nobody else asks for anything."""
        found = self._services.get(service)
        if found is not None and changed in found.watchers:
            found.watchers.remove(changed)
            if not found.watchers:
                del self._services[service]
        return not self._services

    async def run(self) -> None:
        """Reads once a second, until it is closed."""
        # Cancelling alone does not end it: while a command is sent the client of Redis may swallow that.
        while not self._closed:
            self._wanted.clear()
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001 - whatever it met there: without another look no change would be seen
                _log.exception("the registry could not be read")
            try:
                # Whoever asks for another service need not wait for the next second.
                await asyncio.wait_for(self._wanted.wait(), REFRESH_S)
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Reads once."""
        try:
            found = await self._registry.read(list(self._services))
        except RegistryUnavailable as error:
            if not self._away:
                _log.warning("the registry does not answer; going on with what was known", error=str(error))
            self._away = True
            for one in self._services.values():
                self._seen(one, ())
            return
        if self._away:
            _log.info("the registry answers again")
            self._away = False
        addresses = {service: reachable(instances) for service, instances in found.items()}
        await self._numbers.look_up(one for some in addresses.values() for one in some)
        for service, some in addresses.items():
            if service in self._services:
                self._seen(self._services[service], self._numbers.of(some))

    def end(self) -> None:
        """Has run() end."""
        self._closed = True
        self._wanted.set()

    async def close(self) -> None:
        """Closes the connections of the registry."""
        self.end()
        await self._numbers.close()
        try:
            await self._registry.close()
        except RegistryUnavailable:
            return

    def _seen(self, service: Instances, addresses: tuple[str, ...]) -> None:
        # A registry that has lost its memory knows nobody: those who served a moment ago are the better guess. If they
        # are gone, calls to them fail as they would with none, and gRPC skips whoever is dead. What was kept of the
        # last run is the worst guess, and taken only where there is none.
        if not addresses and not service.addresses:
            addresses = self._remembered(service.service)
        if not addresses or addresses == service.addresses:
            return
        _log.info("instances changed", service=service.service, addresses=list(addresses))
        service.addresses = addresses
        self._remember(service)
        for changed in tuple(service.watchers):
            changed(service)

    def _file(self, service: str) -> Path | None:
        return None if self._directory is None else self._directory / f"{service}.json"

    def _remembered(self, service: str) -> tuple[str, ...]:
        path = self._file(service)
        try:
            found = json.loads(path.read_text()) if path is not None else []
        except (OSError, ValueError, RecursionError):
            return ()
        return _addresses(found)

    def _remember(self, service: Instances) -> None:
        path = self._file(service.service)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{id(self)}.new")
            scratch.write_text(json.dumps(service.addresses) + "\n")
            scratch.replace(path)
        except OSError as error:
            _log.warning("addresses could not be kept", error=error.strerror)


def _addresses(found: object) -> tuple[str, ...]:
    entries: Sequence[object] = found if isinstance(found, list) else ()
    return tuple(one for one in entries if isinstance(one, str) and is_address(one))
