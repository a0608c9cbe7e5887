"""Services in the process of a test: each on a free port behind its full chain, and callers whose tokens they know."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import grpc
import sqlalchemy as sa

from trunkline.auth.credential import Credential
from trunkline.auth.tokens import Claims
from trunkline.auth.verifier import TokenVerifier
from trunkline.call import InboundCall, Principal, serving
from trunkline.client import CLIENT_ORDER, PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events.event import Handlers
from trunkline.events.publishing.relay import Relay
from trunkline.interceptors.host import Answers
from trunkline.interceptors.peer import Maker
from trunkline.node import Node, Storage
from trunkline.process import Build
from trunkline.server import Server
from trunkline.service import Background, Service
from trunkline.servicers import contract_of
from trunkline.settings import PlatformSettings, ServiceSettings
from trunkline.storage import Database, PlatformTables
from trunkline.storage.leases import Leases
from trunkline.storage.migrate import upgrade, upgrade_postgres
from trunkline.testing.faults import FaultPlan
from trunkline.testing.tokens import Bearer, TokenFactory

S = TypeVar("S", bound=ServiceSettings)
Stub = TypeVar("Stub")


class LocalSystem:
    """Some services of a system, in this process. An async context manager: leaving it drains them, the last first.

    async with LocalSystem(tmp_path) as system:
        await system.start("item", build, ItemSettings())
        stub = ItemServiceStub(system.caller(claims).channel("item"))
    """

    def __init__(
        self,
        var_dir: Path,
        clock: Clock = SYSTEM_CLOCK,
        *,
        redis_url: str = "",
        faults: FaultPlan | None = None,
        tokens: TokenFactory | None = None,
    ) -> None:
        """Starts nothing.

        Args:
            var_dir: Where the services keep their files.
            clock: Time of the services, their tokens and their channels.
            redis_url: Redis of those that publish or consume.
            faults: What happens to the attempts of all callers, the services' own calls of each other among them.
            tokens: Issuer of the tokens, with this clock; None: the system has one of its own.
        """
        self.clock = clock
        """Time of everything in it."""
        self.settings = PlatformSettings(
            profile="test", var_dir=var_dir, redis_url=redis_url, drain_wait_s=0.0, drain_s=1.0, log_level="error"
        )
        """Settings of all services: no waiting in a drain."""
        self.tokens = tokens or TokenFactory(clock, self.settings.token_issuer)
        """Makes the tokens; its verifier is every service's, in place of the identity service."""
        self._order: tuple[Maker, ...] = (*CLIENT_ORDER, *([faults.link] if faults is not None else ()))
        self._ports: dict[str, int] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self.tokens.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, name: str, build: Build[S], settings: S) -> LocalNode[S]:
        """Starts a service by its composition root, on a migrated database. Peers may be started before or after."""
        node = LocalNode(name=name, platform=self.settings, settings=settings, clock=self.clock, system=self)
        await self._serve(name, await build(node))
        return node

    async def stand_in(self, name: str, *servicers: object, answers: Answers | None = None) -> None:
        """Serves servicers in place of a service whose own code is not wanted here.

        Args:
            name: of the service.
            servicers: instances of generated servicer classes.
            answers: what its unit of work stores answers in; None: nothing is replayed.
        """
        served = Service(name=name, servicers=servicers, verifier=self.tokens.verifier, answers=answers)
        await self._serve(name, served)

    async def serve(
        self,
        servicer: object,
        stub: Callable[[grpc.aio.Channel], Stub],
        *,
        caller: Bearer | None = None,
        answers: Answers | None = None,
    ) -> Stub:
        """Serves one servicer behind the whole chain; gives a stub of it behind the client chain.

        Args:
            servicer: an instance, or a class that is made without arguments.
            stub: the generated class of its stub.
            caller: who calls; None: a user of the tenant `acme` without scopes.
            answers: `answers` of the servicer's unit of work; None: nothing is replayed.
        """
        made = servicer() if isinstance(servicer, type) else servicer
        name = f"{contract_of(made)}-{len(self._ports)}"
        await self.stand_in(name, made, answers=answers)
        return stub(self.caller(caller or self.tokens.user()).channel(name))

    def caller(self, who: Claims | Bearer) -> Caller:
        """Somebody with these claims, or whom a token factory made: expired and forged ones too."""
        return Caller(self, who if isinstance(who, Bearer) else self.tokens.of(who))

    def connect(self, name: str, credential: Credential) -> PeerChannel:
        """A channel to a service for a caller; it need not run yet. It is closed with the system."""
        target = f"dns:///{self.settings.listen_host}:{self._port(name)}"
        channel = connect(
            name, credential=credential, target=target, settings=self.settings, clock=self.clock, order=self._order
        )
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


@dataclass(eq=False)
class Caller:
    """Somebody who calls the services of a system; a credential whose token is always fresh."""

    system: LocalSystem
    """Whose services it calls."""
    bearer: Bearer
    """Who it is."""
    _channels: dict[str, PeerChannel] = field(default_factory=dict, init=False, repr=False)

    @property
    def claims(self) -> Claims:
        """What its tokens say."""
        return self.bearer.claims

    def channel(self, name: str) -> PeerChannel:
        """A channel to a service, with this caller's token and the client chain."""
        if name not in self._channels:
            self._channels[name] = self.system.connect(name, self)
        return self._channels[name]

    async def token(self) -> str:
        """A token that is valid now."""
        return self.bearer.sign()

    def sign(self) -> str:
        """A token that is valid now."""
        return self.bearer.sign()

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
        return self.system.tokens.verifier

    async def open_storage(
        self, metadata: sa.MetaData, tables: PlatformTables, versions: Path | None = None, *, publishes: bool = False
    ) -> Storage:
        """As Node, after its migrations."""
        if versions is not None and self.settings.database_url:
            await asyncio.to_thread(upgrade_postgres, self.settings.database_url, metadata, versions)
        elif versions is not None:
            self.database_file.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(upgrade, self.database_file, metadata, versions)
        self.storage = await super().open_storage(metadata, tables, versions, publishes=publishes)
        return self.storage

    def _relay(self, database: Database, tables: PlatformTables, leases: Leases) -> Relay | None:
        """As Node. In a system without Redis no relay runs: what is published stays here."""
        return super()._relay(database, tables, leases) if self.platform.redis_url else None

    def consumer(self, storage: Storage, handlers: Handlers) -> Background:
        """As Node. In a system without Redis no consumer runs: a test brings the events itself."""
        return super().consumer(storage, handlers) if self.platform.redis_url else _idle


async def _idle(stop: asyncio.Event) -> None:
    await stop.wait()
