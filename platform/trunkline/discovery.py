"""Where targets are, as it changes: static addresses, DNS, or the registry; and with which certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from trunkline.registry.redis import RedisRegistry
from trunkline.registry.targets import registered_name
from trunkline.registry.view import Instances, RegistryView
from trunkline.settings import PlatformSettings
from trunkline.tls import TlsSource
from trunkline.transport import Transport

LOOK_S = 1.0
"""Seconds between two looks for new certificates."""
_found: dict[tuple[asyncio.AbstractEventLoop, str, object], Discovery] = {}


@dataclass(eq=False)
class Found:
    """A target of this process, and what keeps its addresses and certificates fresh."""

    transport: Transport
    """The way to it."""
    close: Callable[[float | None], Coroutine[Any, Any, None]]
    """Closes it; calls that still run after so many seconds are cancelled."""
    instances: Instances | None = None
    """With the registry: what it knows of the target."""


def find(name: str, target: str, settings: PlatformSettings, options: Sequence[tuple[str, Any]]) -> Found:
    """The way to a target, kept fresh until it is closed.

    Args:
        name: of the service; with TLS, its certificate must hold it.
        target: a gRPC target, or `registry:///<service>`.
        settings: where the registry and the certificates are.
        options: of the channels.

    Raises:
        TlsRefused: the certificates cannot be read.
    """
    key = (asyncio.get_running_loop(), settings.registry_url, settings.tls_files())
    discovery = _found.get(key)
    if discovery is None:
        discovery = _found[key] = Discovery(settings)
    return discovery.open(name, target, options, lambda: _found.pop(key, None))


@dataclass(eq=False)
class Discovery:
    """What all targets of a process and event loop share: one view of the registry, one look at the certificates."""

    settings: PlatformSettings
    """Where the registry and the certificates are."""
    _open: set[Transport] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _view: RegistryView | None = None

    def __post_init__(self) -> None:
        files = self.settings.tls_files()
        self._tls = TlsSource(files) if files is not None else None

    def open(self, name: str, target: str, options: Sequence[tuple[str, Any]], forget: Callable[[], object]) -> Found:
        """As find(); forget is called when nothing is open any more."""
        if self._tls is not None:
            # Its name, not its address, is what a certificate vouches for: instances come and go.
            options = (*options, ("grpc.ssl_target_name_override", name))
            if not self._open:
                self._run(self._renew(self._tls))
        service = registered_name(target)
        view = self._registry() if service else None
        instances: Instances | None = None
        transport: Transport

        def changed(instances: Instances) -> None:
            transport.replace(instances.addresses)

        if view is not None:
            instances = view.watch(service, changed)
        transport = Transport(instances.addresses if instances else target, self._credentials, options=options)
        self._open.add(transport)

        async def close(grace_s: float | None) -> None:
            if transport not in self._open:
                return
            self._open.remove(transport)
            if view is not None:
                view.leave(service, changed)
            if not self._open:
                forget()
                await self._end()
            await transport.close(grace_s)

        return Found(transport, close, instances)

    def _credentials(self) -> grpc.ChannelCredentials | None:
        return None if self._tls is None else self._tls.material.channel_credentials()

    def _registry(self) -> RegistryView:
        if self._view is None:
            self._view = RegistryView(
                RedisRegistry(self.settings.registry_url), self.settings.var_dir / "run" / "registry"
            )
            self._run(self._view.run())
        return self._view

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _renew(self, tls: TlsSource) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if tls.look():
                for transport in self._open:
                    transport.replace()

    async def _end(self) -> None:
        if self._view is not None:
            self._view.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._view is not None:
            await self._view.close()
