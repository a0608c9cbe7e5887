"""Services in the process of a test: each on a free port behind its full chain, and callers whose tokens they know."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.identity.v1 import identity_service_pb2 as pb

from trunkline.auth.keys import PublicKeys
from trunkline.auth.tokens import ALGORITHM, Claims, SignedToken, TokenSigner
from trunkline.auth.verifier import TokenVerifier
from trunkline.call import InboundCall, Principal, serving
from trunkline.client import PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events.event import Handlers
from trunkline.node import Node, Storage
from trunkline.process import Build
from trunkline.server import Background, Server, Service
from trunkline.settings import PlatformSettings, ServiceSettings
from trunkline.storage import PlatformTables
from trunkline.storage.migrate import upgrade

S = TypeVar("S", bound=ServiceSettings)
RENEW_S = 60
"""Seconds before its expiry from which a caller's token is made anew."""


class LocalSystem:
    """Some services of a system, in this process. An async context manager: leaving it drains them, the last first.

    async with LocalSystem(tmp_path) as system:
        await system.start("item", build, ItemSettings())
        stub = ItemServiceStub(system.caller(claims).channel("item"))
    """

    def __init__(self, var_dir: Path, clock: Clock = SYSTEM_CLOCK, *, redis_url: str = "") -> None:
        """Makes a signing key; starts nothing.

        Args:
            var_dir: Where the services keep their files.
            clock: Time of the services, their tokens and their channels.
            redis_url: Redis of those that publish or consume.
        """
        self.clock = clock
        """Time of everything in it."""
        self.settings = PlatformSettings(
            profile="test", var_dir=var_dir, redis_url=redis_url, drain_wait_s=0.0, drain_s=1.0, log_level="error"
        )
        """Settings of all services: no waiting in a drain."""
        private_key = Ed25519PrivateKey.generate()
        self._public_key = pb.PublicKey(
            key_id="local", algorithm=ALGORITHM, public_key=private_key.public_key().public_bytes_raw()
        )
        self.signer = TokenSigner("local", private_key, self.settings.token_issuer, clock)
        """Makes the tokens."""
        self._keys = PublicKeys(self._fetch, None, clock)
        self.verifier = TokenVerifier(self._keys, self.settings.token_issuer, self.settings.token_issuer, clock)
        """Knows them; every service uses it in place of the identity service."""
        self._ports: dict[str, int] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._keys.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, name: str, build: Build[S], settings: S) -> LocalNode[S]:
        """Starts a service by its composition root, on a migrated database. Peers may be started before or after."""
        node = LocalNode(name=name, platform=self.settings, settings=settings, clock=self.clock, system=self)
        await self._serve(name, await build(node))
        return node

    async def stand_in(self, name: str, *servicers: object) -> None:
        """Serves servicers in place of a service whose own code is not wanted here."""
        await self._serve(name, Service(name=name, servicers=servicers, verifier=self.verifier))

    def caller(self, claims: Claims) -> Caller:
        """Somebody with these claims."""
        return Caller(self, claims)

    def connect(self, name: str, credential: Caller) -> PeerChannel:
        """A channel to a service for a caller; it need not run yet. It is closed with the system."""
        target = f"dns:///{self.settings.listen_host}:{self._port(name)}"
        channel = connect(name, credential=credential, target=target, settings=self.settings, clock=self.clock)
        self._stack.push_async_callback(channel.close)
        return channel

    async def _serve(self, name: str, service: Service) -> None:
        server = Server([service], self.settings, port=self._ports.get(name, 0), clock=self.clock)
        await self._stack.enter_async_context(server)
        self._ports[name] = server.port

    def _port(self, name: str) -> int:
        if name not in self._ports:
            with socket.socket() as probe:
                probe.bind((self.settings.listen_host, 0))
                self._ports[name] = probe.getsockname()[1]
        return self._ports[name]

    async def _fetch(self) -> list[pb.PublicKey]:
        return [self._public_key]


@dataclass(eq=False)
class Caller:
    """Somebody who calls the services of a system; a credential whose token is always fresh."""

    system: LocalSystem
    """Whose services it calls."""
    claims: Claims
    """What its tokens say."""
    _signed: SignedToken | None = field(default=None, init=False, repr=False)
    _channels: dict[str, PeerChannel] = field(default_factory=dict, init=False, repr=False)

    def channel(self, name: str) -> PeerChannel:
        """A channel to a service, with this caller's token and the client chain."""
        if name not in self._channels:
            self._channels[name] = self.system.connect(name, self)
        return self._channels[name]

    async def token(self) -> str:
        """A token that is valid now."""
        return self.sign()

    def sign(self) -> str:
        """A token that is valid now."""
        now = self.system.clock.now()
        if self._signed is None or (self._signed.expire_time - now).total_seconds() < RENEW_S:
            self._signed = self.system.signer.sign(self.claims, audience=self.system.settings.token_issuer)
        return self._signed.token

    @contextmanager
    def forwarded(self) -> Iterator[None]:
        """Inside the block, calls of services are made for this caller."""
        principal = Principal(**asdict(self.claims), token=self.sign())
        with serving(InboundCall("test", caller=principal, tenant_id=principal.tenant_id)):
            yield


@dataclass(kw_only=True)
class LocalNode(Node[S]):
    """What a service of a LocalSystem is built from: peers and keys are the system's."""

    system: LocalSystem
    """Where it runs."""
    storage: Storage | None = None
    """Its storage, for a test to look into; None for a service without."""

    def connect(self, name: str) -> PeerChannel:
        """The channel to a peer of the system, with a token of this service."""
        if name not in self.peers:
            claims = Claims(kind="service", subject=self.name, credential_id=self.name)
            self.peers[name] = self.system.connect(name, self.system.caller(claims))
        return self.peers[name]

    def verifier(self) -> TokenVerifier:
        """The system's."""
        return self.system.verifier

    async def open_storage(
        self, metadata: sa.MetaData, tables: PlatformTables, versions: Path | None = None, *, publishes: bool = False
    ) -> Storage:
        """As Node, after its migrations. In a system without Redis no relay runs: what is published stays here."""
        if versions is not None:
            self.database_file.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(upgrade, self.database_file, metadata, versions)
        carried = publishes and bool(self.platform.redis_url)
        self.storage = await super().open_storage(metadata, tables, versions, publishes=carried)
        return self.storage

    def consumer(self, storage: Storage, handlers: Handlers) -> Background:
        """As Node. In a system without Redis no consumer runs: a test brings the events itself."""
        return super().consumer(storage, handlers) if self.platform.redis_url else _idle


async def _idle(stop: asyncio.Event) -> None:
    await stop.wait()
