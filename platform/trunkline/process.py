"""run(): a service as a process. Settings are checked all at once, then it serves until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import sqlalchemy as sa
import structlog
from trunk.identity.v1 import identity_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2_grpc as pb_grpc

from trunkline.auth.keys import PublicKeys
from trunkline.auth.verifier import TokenVerifier
from trunkline.client import PeerChannel, connect, find_target
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.health import Check
from trunkline.interceptors.host import Verifier
from trunkline.method import ContractError
from trunkline.registry.targets import UnknownTarget
from trunkline.server import Background, PortInUse, Service, serve
from trunkline.settings import PlatformSettings, ServiceSettings, describe, load, refuse
from trunkline.storage import Database, DatabaseRefused, PlatformTables, UnitOfWork
from trunkline.telemetry.logs import configure_logs

IDENTITY = "account"
"""Service that implements trunk.identity.v1."""
LOCK_WAIT_S = 15.0
"""Seconds a successor waits for the process that still owns the database; longer than a drain."""
S = TypeVar("S", bound=ServiceSettings)
_log = structlog.get_logger("trunkline.process")


@dataclass(frozen=True, slots=True)
class Storage:
    """A service's own database and the way to change it."""

    database: Database
    """For reads."""
    unit: UnitOfWork
    """For everything that changes."""


@dataclass(kw_only=True)
class Node(Generic[S]):
    """What a service is built from: its settings, its folder, and its way to others."""

    name: str
    """Of the service."""
    platform: PlatformSettings
    """Settings of the platform."""
    settings: S
    """Settings of the service."""
    clock: Clock = SYSTEM_CLOCK
    """Time of everything in it."""
    peers: dict[str, PeerChannel] = field(default_factory=dict)
    """Channels opened by connect()."""

    @property
    def directory(self) -> Path:
        """Folder of the service's own files."""
        return self.platform.var_dir / self.name

    @property
    def database_file(self) -> Path:
        """File of the service's database."""
        return self.settings.database or self.directory / f"{self.name}.db"

    @property
    def secret_file(self) -> Path:
        """File of the secret that fingerprints and seals stored answers."""
        return self.directory / "answers.secret"

    def connect(self, name: str) -> PeerChannel:
        """The channel to a peer; opened once."""
        if name not in self.peers:
            self.peers[name] = connect(name, settings=self.platform, clock=self.clock)
        return self.peers[name]

    def verifier(self) -> TokenVerifier:
        """Verifies tokens with the identity service's public keys; the last ones are kept in the folder."""
        stub: pb_grpc.IdentityServiceAsyncStub = pb_grpc.IdentityServiceStub(self.connect(IDENTITY))

        async def fetch() -> Sequence[pb.PublicKey]:
            return (await stub.ListPublicKeys(pb.ListPublicKeysRequest())).keys

        keys = PublicKeys(fetch, self.directory / "public_keys.json", self.clock)
        return TokenVerifier(keys, self.platform.token_issuer, self.platform.token_issuer, self.clock)

    async def open_storage(self, metadata: sa.MetaData, tables: PlatformTables, versions: Path) -> Storage:
        """The service's database, opened, and its unit of work."""
        self.database_file.parent.mkdir(parents=True, exist_ok=True)
        database = Database(self.database_file, metadata, versions=versions, lock_wait_s=LOCK_WAIT_S)
        await database.open()
        unit = UnitOfWork(database, tables, source=self.name, secret_file=self.secret_file, clock=self.clock)
        return Storage(database, unit)

    def service(
        self,
        storage: Storage,
        *,
        servicers: Sequence[object],
        background: Sequence[Background] = (),
        verifier: Verifier | None = None,
    ) -> Service:
        """A service on its own database, ready to be served."""
        return Service(
            name=self.name,
            servicers=servicers,
            verifier=verifier or self.verifier(),
            answers=storage.unit.answers,
            gate=storage.database.check,
            dependencies={"db": storage.database.check, **self._peer_checks()},
            background=[storage.unit.answers.expire_until, *background],
            close=[storage.database.close, *(channel.close for channel in self.peers.values())],
        )

    def _peer_checks(self) -> dict[str, Check]:
        """Whether each peer is connected, for health."""
        return {name: _connected(channel) for name, channel in self.peers.items()}


def _connected(channel: PeerChannel) -> Check:
    async def check() -> None:
        if channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            raise ConnectionError("not connected")

    return check


Build = Callable[[Node[S]], Awaitable[Service]]
"""A service's composition root."""


def run(
    name: str, settings_class: type[S], build: Build[S], *, peers: Sequence[str] = (), events: bool = False
) -> None:
    """Runs a service until SIGTERM. Whatever keeps it from starting is told in one report, and the process ends with 2.

    Args:
        name: of the service.
        settings_class: its settings.
        build: makes the service from a node.
        peers: services it calls; where they are must be known at start. They need not run.
        events: it publishes or consumes, and so needs REDIS_URL.
    """
    platform, settings = load(PlatformSettings, settings_class)
    assert isinstance(platform, PlatformSettings)
    assert isinstance(settings, settings_class)
    _check(platform, peers, events)
    configure_logs(name, platform.log_level)
    node = Node(name=name, platform=platform, settings=settings)
    _log.info("starting", **describe(platform, settings))
    try:
        asyncio.run(_run(node, build))
    except (PortInUse, ContractError, DatabaseRefused) as error:
        refuse([str(error)])


async def _run(node: Node[S], build: Build[S]) -> None:
    service = await build(node)
    await serve([service], node.platform, port=node.settings.port, clock=node.clock)


def _check(platform: PlatformSettings, peers: Sequence[str], events: bool) -> None:
    mistakes = []
    for peer in peers:
        try:
            find_target(peer, platform)
        except UnknownTarget as error:
            mistakes.append(str(error))
    if events and not platform.redis_url:
        mistakes.append("REDIS_URL is not set: this service publishes or consumes events (`make run` starts a server)")
    if mistakes:
        refuse(mistakes)
